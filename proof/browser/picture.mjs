/** Takes the picture of the README, docs/demo.png: two people in a call, who chat beside it. */
import { fileURLToPath } from 'node:url';
import { launch } from './lib/browser.mjs';
import { calls, isCalledBy, presses, seesMoving } from './lib/calls.mjs';
import { harbourPicture } from './lib/pictures.mjs';
import { Person } from './lib/person.mjs';
import { Server } from './lib/server.mjs';

const PICTURE = fileURLToPath(new URL('../../../docs/demo.png', import.meta.url));

/** Instead of a camera: a drawn portrait in the given colours. */
const portrait = (wall, hair, skin, shirt) => (context) =>
  context.addInitScript(
    ([wall, hair, skin, shirt]) => {
      const real = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
      navigator.mediaDevices.getUserMedia = async (wanted) => {
        const stream = await real(wanted);
        if (!wanted.video) return stream;
        for (const track of stream.getVideoTracks()) stream.removeTrack(track);
        const canvas = document.createElement('canvas');
        [canvas.width, canvas.height] = [1280, 720];
        const pen = canvas.getContext('2d');
        const shape = (colour, ...ellipse) => {
          pen.fillStyle = colour;
          pen.beginPath();
          pen.ellipse(...ellipse, 0, 0, 7);
          pen.fill();
        };
        const draw = () => {
          pen.fillStyle = wall;
          pen.fillRect(0, 0, 1280, 720);
          pen.fillStyle = 'rgba(255,255,255,.16)';
          pen.fillRect(90, 60, 250, 330);
          pen.fillRect(960, 100, 220, 16);
          pen.fillRect(960, 240, 220, 16);
          shape(hair, 640, 330, 168, 196);
          shape(shirt, 640, 800, 320, 260);
          pen.fillStyle = skin;
          pen.fillRect(590, 450, 100, 120);
          shape(skin, 640, 350, 128, 160);
          shape(hair, 640, 214, 136, 64);
          shape('#2b2b2b', 592, 340, 11, 13);
          shape('#2b2b2b', 688, 340, 11, 13);
          pen.strokeStyle = '#8c3b32';
          pen.lineWidth = 9;
          pen.lineCap = 'round';
          pen.beginPath();
          pen.arc(640, 395, 50, 0.5, 2.64);
          pen.stroke();
        };
        setInterval(draw, 40);
        draw();
        stream.addTrack(canvas.captureStream(25).getVideoTracks()[0]);
        return stream;
      };
    },
    [wall, hair, skin, shirt],
  );

const server = await Server.start();
const browser = await launch();
try {
  const arrive = (name, hash, prepare) =>
    Person.arrive(browser, server.origin, name, { hash, prepare });
  const erin = await arrive(
    'erin',
    '#/people/frank',
    portrait('#6f9aa0', '#3b2a20', '#e2b08c', '#f3efe6'),
  );
  const frank = await arrive(
    'frank',
    '#/people/erin',
    portrait('#c9a227', '#20242a', '#b97f5b', '#27536b'),
  );
  const gina = await arrive('gina', '#/channels/harbour');
  await erin.joins('harbour');
  await erin.adds('dave');
  await erin.adds('gina');
  await erin.opens('frank');
  await frank.writes('The noon boat is full, the next one goes at two. Look how calm it is:');
  const chooser = frank.page.waitForEvent('filechooser');
  await frank.page.getByRole('button', { name: 'Send a picture' }).click();
  await (await chooser).setFiles(await harbourPicture(frank.page));
  await frank.page
    .getByRole('listitem')
    .filter({ hasText: 'delivered' })
    .getByRole('img')
    .waitFor();
  await erin.writes('Lovely. I have moved our group to two.');
  await frank.sees('erin', 'moved our group');
  await erin.sees('frank', 'moved our group', 'delivered');
  await gina.adds('erin');
  await gina.writes('Could you print the list?');
  await erin.page.getByRole('link', { name: /gina.*1 new/ }).waitFor();
  await calls(erin, 'frank');
  await isCalledBy(frank, 'erin');
  await presses(frank, 'Accept');
  await Promise.all([seesMoving(erin), seesMoving(frank)]);
  await erin.page.setViewportSize({ width: 1280, height: 900 });
  await erin.page.mouse.move(0, 0);
  // WebRTC begins with a small picture and makes it better.
  await erin.page.waitForTimeout(9000);
  await erin.page.screenshot({ path: PICTURE });
} finally {
  await browser.close();
  await server.stop();
}
