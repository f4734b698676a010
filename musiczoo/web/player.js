// An audio element that says what it cannot play.

/**
 * @param {HTMLAudioElement} audio
 * @param {HTMLElement} trouble Where to say so: hidden while all is well.
 * @param {string} unplayable What to say of a file that cannot be played.
 */
export function player(audio, trouble, unplayable) {
  let source = null;
  const say = (text) => {
    trouble.textContent = text;
    trouble.hidden = !text;
  };
  const release = () => audio.src.startsWith("blob:") && URL.revokeObjectURL(audio.src);
  audio.addEventListener("error", () => { if (audio.hasAttribute("src")) say(unplayable); });
  return {
    /** Get a song ready: an address or a File. The one that is there already goes on. */
    open(song) {
      if (song === source) return;
      source = song;
      say("");
      release();
      audio.src = song instanceof Blob ? URL.createObjectURL(song) : song;
    },
    /** What cannot be played says so by itself; a browser that wants a click first is answered here. */
    play: () => audio.play().catch((error) => { if (error.name === "NotAllowedError") say("Press play to hear it."); }),
    pause: () => audio.pause(),
    toggle() {
      if (audio.paused) this.play();
      else audio.pause();
    },
    close() {
      source = null;
      release();
      audio.removeAttribute("src");
      audio.load();
    },
  };
}
