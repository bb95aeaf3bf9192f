/** Sounds of a call, made by the browser: no file is loaded. */

/** One period of a sound: tones of two frequencies each, in hertz, with their times in seconds. */
interface Pattern {
  readonly tones: readonly {
    readonly at: number;
    readonly for: number;
    readonly hertz: readonly number[];
  }[];
  readonly periodMs: number;
  /** 1 is as loud as can be. */
  readonly volume: number;
}

/** Somebody calls us: a bell of three rising notes, twice. */
const RING: Pattern = {
  tones: [0, 0.9].flatMap((start) => [
    { at: start, for: 0.5, hertz: [587.33, 880] },
    { at: start + 0.14, for: 0.5, hertz: [739.99, 1108.73] },
    { at: start + 0.28, for: 0.6, hertz: [880, 1318.51] },
  ]),
  periodMs: 3000,
  volume: 0.16,
};
/** It rings at the other side: one long, low tone. */
const RINGBACK: Pattern = {
  tones: [{ at: 0, for: 1, hertz: [425, 450] }],
  periodMs: 4000,
  volume: 0.05,
};

const PATTERNS = { ring: RING, ringback: RINGBACK } as const;

let context: AudioContext | undefined;

/**
 * Plays until the returned function is called. A browser lets a page make a sound only after the user has clicked or
 * typed somewhere on it: until then, the page waits for that.
 */
export function play(name: keyof typeof PATTERNS): () => void {
  if (mayPlay()) return playNow(PATTERNS[name]);
  let stop: () => void = () => undefined;
  const waiting = new AbortController();
  const begin = () => {
    waiting.abort();
    stop = playNow(PATTERNS[name]);
  };
  for (const gesture of ['pointerup', 'keydown']) {
    document.addEventListener(gesture, begin, { signal: waiting.signal, capture: true });
  }
  return () => {
    waiting.abort();
    stop();
  };
}

/** Where a browser does not tell, the attempt does no harm but for a warning on the console. */
function mayPlay(): boolean {
  return 'userActivation' in navigator ? navigator.userActivation.hasBeenActive : true;
}

function playNow(pattern: Pattern): () => void {
  const audio = (context ??= new AudioContext());
  const out = audio.createGain();
  out.gain.value = pattern.volume;
  out.connect(audio.destination);
  const once = () => {
    void audio.resume();
    for (const tone of pattern.tones) {
      for (const hertz of tone.hertz)
        sound(audio, out, hertz, audio.currentTime + tone.at, tone.for);
    }
  };
  once();
  const timer = setInterval(once, pattern.periodMs);
  return () => {
    clearInterval(timer);
    out.disconnect();
  };
}

/** A tone that swells and fades, as one that starts and stops at once would click. */
function sound(
  audio: AudioContext,
  out: AudioNode,
  hertz: number,
  at: number,
  seconds: number,
): void {
  const tone = audio.createOscillator();
  const volume = audio.createGain();
  tone.frequency.value = hertz;
  volume.gain.setValueAtTime(0, at);
  volume.gain.linearRampToValueAtTime(0.5, at + 0.02);
  volume.gain.exponentialRampToValueAtTime(0.001, at + seconds);
  tone.connect(volume).connect(out);
  tone.start(at);
  tone.stop(at + seconds);
}
