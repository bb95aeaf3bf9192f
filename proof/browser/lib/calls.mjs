/** Somebody in a call: what they do, and proof of what they see and hear. */
import assert from 'node:assert/strict';

const SEEN_WITHIN_MS = 15_000;

/** The panel of the call: with somebody, or of somebody who is calling. */
const callOf = (person, name) =>
  person.page.getByRole('region', {
    name: name.endsWith(' is calling') ? name : `Call with ${name}`,
    exact: true,
  });

/** From the open conversation with `name`. */
export async function calls(person, name, kind = 'video') {
  const label = kind === 'video' ? `Call ${name} with video` : `Call ${name}`;
  await person.page.getByRole('button', { name: label, exact: true }).click();
}

/** Two people call each other at the same moment, to the millisecond. */
export async function callEachOther(one, other) {
  const at = Date.now() + 500;
  const callAt = (person, name) =>
    person.page.getByRole('button', { name: `Call ${name} with video` }).evaluate((button, at) => {
      setTimeout(() => button.click(), at - Date.now());
    }, at);
  await Promise.all([callAt(one, other.name), callAt(other, one.name)]);
}

export async function isCalledBy(person, name) {
  await callOf(person, `${name} is calling`).waitFor();
}

export async function presses(person, button) {
  await person.page.getByRole('button', { name: button, exact: true }).click();
}

/** What stands in the panel of the call with `name`. */
export async function seesInCall(person, name, text, withinMs = SEEN_WITHIN_MS) {
  await callOf(person, name).getByText(text).waitFor({ timeout: withinMs });
}

export async function seesNoCall(person, withinMs = SEEN_WITHIN_MS) {
  await person.page.locator('#call').waitFor({ state: 'hidden', timeout: withinMs });
}

/** Two people in a video call that stands, both with the other's conversation open. */
export async function talk(caller, callee) {
  await calls(caller, callee.name);
  await isCalledBy(callee, caller.name);
  await presses(callee, 'Accept');
  await Promise.all([seesMoving(caller), seesMoving(callee)]);
}

/** How often frames of the other's picture have been shown, as three witnesses tell. */
function framesOf(page) {
  return page.locator('#remote-video').evaluate((video) => ({
    time: video.currentTime,
    played: video.getVideoPlaybackQuality().totalVideoFrames,
    width: video.videoWidth,
  }));
}

/** The other's picture moves: time and frames grow, and the browser shows a new one. */
export async function seesMoving(person) {
  const video = person.page.locator('#remote-video');
  await video.and(person.page.locator('[data-shown="true"]')).waitFor();
  const before = await framesOf(person.page);
  const next = await video.evaluate(
    (element, ms) =>
      new Promise((resolve, reject) => {
        setTimeout(() => reject(new Error(`no frame within ${ms} ms`)), ms);
        let seen = 0;
        const onFrame = (_now, { presentedFrames }) => {
          if (++seen < 5) element.requestVideoFrameCallback(onFrame);
          else resolve(presentedFrames);
        };
        element.requestVideoFrameCallback(onFrame);
      }),
    SEEN_WITHIN_MS,
  );
  const after = await framesOf(person.page);
  assert.ok(after.width > 0, `${person.name} sees a picture of no width`);
  assert.ok(next >= 5, `${person.name} was shown ${next} frames`);
  assert.ok(after.time > before.time, `${person.name}'s picture stands still at ${after.time} s`);
  assert.ok(
    after.played > before.played,
    `${person.name}'s picture has ${after.played} frames and no more`,
  );
}

/** Resolves when the other is heard (`true`) or is silent for longer than the fake microphone is between two beeps. */
export async function hears(person, isHeard) {
  const loudest = [];
  for (let attempt = 0; attempt < 6; attempt++) {
    loudest.push(await loudnessOf(person));
    if (isHeard ? loudest.at(-1) > 0.01 : loudest.at(-1) < 0.001) return;
  }
  assert.fail(
    `${person.name} should hear ${isHeard ? 'something' : 'nothing'}; the loudest were ${loudest.join(', ')}`,
  );
}

/** How loud the other is, at most, within one and a half seconds. 0 is silence. */
async function loudnessOf(person) {
  return person.page.locator('#remote-video').evaluate(async (video) => {
    const audio = new AudioContext();
    await audio.resume();
    const analyser = audio.createAnalyser();
    audio
      .createMediaStreamSource(new MediaStream(video.srcObject.getAudioTracks()))
      .connect(analyser);
    const samples = new Float32Array(analyser.fftSize);
    let loudest = 0;
    // The fake microphone beeps once a second.
    for (const end = performance.now() + 1500; performance.now() < end;) {
      await new Promise(requestAnimationFrame);
      analyser.getFloatTimeDomainData(samples);
      loudest = Math.max(loudest, ...samples.map(Math.abs));
    }
    await audio.close();
    return loudest;
  });
}

/** Listens to all that a page plays by WebAudio from now on, as a loudspeaker would. */
export async function listenToSpeaker(context) {
  await context.addInitScript(() => {
    const connect = AudioNode.prototype.connect;
    AudioNode.prototype.connect = function (to, ...rest) {
      if (to === this.context.destination && !(this instanceof AnalyserNode)) {
        const analyser = this.context.createAnalyser();
        connect.call(this, analyser);
        (window.speakers ??= []).push(analyser);
      }
      return connect.call(this, to, ...rest);
    };
  });
}

/** Resolves when the page makes a sound, rejects when it is silent for five seconds. */
export async function hearsRing(person) {
  const loudest = await person.page.evaluate(async () => {
    for (const end = performance.now() + 5000; performance.now() < end;) {
      await new Promise(requestAnimationFrame);
      for (const analyser of window.speakers ?? []) {
        const samples = new Float32Array(analyser.fftSize);
        analyser.getFloatTimeDomainData(samples);
        const loudness = Math.max(...samples.map(Math.abs));
        if (loudness > 0.01) return loudness;
      }
    }
    return 0;
  });
  assert.ok(loudest > 0, `${person.name}'s page does not ring`);
}

/** Starts a stopwatch that the next first frame of the other's picture stops. */
export async function watchForFirstFrame(person) {
  const handle = await person.page.evaluateHandle(() => {
    const video = document.getElementById('remote-video');
    return {
      at: new Promise((resolve) => video.requestVideoFrameCallback(() => resolve(Date.now()))),
    };
  });
  return async () => handle.evaluate(({ at }) => at);
}
