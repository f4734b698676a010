// Files out of what was dropped or chosen, folders unfolded.
const SUFFIX = /\.(aac|aif|aiff|flac|m4a|m4b|mka|mp3|mp4|oga|ogg|opus|wav|wave|weba|webm|wma)$/i;

/** Whether a file in a folder is worth decoding; one that was named by itself always is. */
const isAudio = (file) => file.type.startsWith("audio/") || SUFFIX.test(file.name);

/**
 * What was dropped.
 * @param {DataTransfer} transfer
 * @returns {Promise<{songs: {file: File, path: string}[], others: number}>} And how many files in folders are no audio.
 */
export async function dropped(transfer) {
  // The list of items lasts only as long as the event: nothing may be awaited before all are taken.
  const entries = [...transfer.items].filter((item) => item.kind === "file").map((item) => item.webkitGetAsEntry());
  const named = entries.filter((entry) => entry?.isFile), folders = entries.filter((entry) => entry?.isDirectory);
  const songs = await Promise.all(named.map(fileOf));
  const inside = (await Promise.all(folders.map(unfold))).flat();
  const audio = inside.filter(({ file }) => isAudio(file));
  return { songs: [...songs, ...sorted(audio)], others: inside.length - audio.length };
}

/** What an <input type="file"> holds, as `dropped` returns it. */
export function chosen(input) {
  const all = Array.from(input.files, (file) => ({ file, path: file.webkitRelativePath || file.name }));
  const songs = input.webkitdirectory ? sorted(all.filter(({ file }) => isAudio(file))) : all;
  return { songs, others: all.length - songs.length };
}

const sorted = (songs) => songs.sort((a, b) => a.path.localeCompare(b.path, undefined, { numeric: true }));

const fileOf = (entry) =>
  new Promise((resolve, reject) => {
    entry.file((file) => resolve({ file, path: entry.fullPath.replace(/^\//, "") }), reject);
  });

async function unfold(entry) {
  if (entry.isFile) return [await fileOf(entry)];
  const reader = entry.createReader(), found = [];
  for (;;) {
    // A reader tells a hundred at a time, and none when it is done.
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) return found;
    for (const inner of some) found.push(...(await unfold(inner)));
  }
}
