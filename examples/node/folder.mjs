// Tags of all WAV files of a folder, one line of JSON a song: node folder.mjs MODEL_FOLDER SONGS > tags.jsonl
// Each song is run by tag.mjs, several at a time; the songs that fail are counted and make the exit status 1.
import { execFile } from "node:child_process";
import { readdirSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const [model, folder] = process.argv.slice(2);
const script = fileURLToPath(new URL("tag.mjs", import.meta.url));
const songs = readdirSync(folder, { recursive: true }).filter((name) => name.toLowerCase().endsWith(".wav")).sort();
const answers = new Map();
let next = 0, printed = 0, failed = 0;

async function work() {
  while (next < songs.length) {
    const song = songs[next++];
    try {
      const { stdout } = await promisify(execFile)(process.execPath, [script, model, join(folder, song)]);
      answers.set(song, { song, ...JSON.parse(stdout) });
    } catch (error) {
      answers.set(song, { song, error: /^Error: (.*)$/m.exec(error.stderr)?.[1] ?? error.message });
      failed++;
    }
    for (; answers.has(songs[printed]); answers.delete(songs[printed++])) console.log(JSON.stringify(answers.get(songs[printed])));
  }
}

await Promise.all(Array.from({ length: availableParallelism() }, work));
if (failed) {
  console.error(`${failed} of ${songs.length} songs failed.`);
  process.exitCode = 1;
}
