/** Files: uploaded once, announced by a message, downloaded by whoever wants them. */
import { addLine, login, show } from './login.js';

const $ = (selector) => document.querySelector(selector);
const { client, uid } = await login();
const room = client.createChannel('examples-files');
room.on('ChannelMessage', (message, from) => {
  if (message.messageType === 'FILE') offer(message, from);
});
await room.join();

$('#send').addEventListener('submit', async (event) => {
  event.preventDefault();
  const [file] = $('#send input').files;
  if (!file) return;
  const cancel = new AbortController();
  $('#cancel').onclick = () => cancel.abort();
  $('#cancel').hidden = $('#progress').hidden = false;
  show();
  try {
    const message = await client.createMediaMessageByUploading(
      file,
      { messageType: 'FILE', fileName: file.name },
      {
        cancelSignal: cancel.signal,
        onOperationProgress: ({ currentSize, totalSize }) => {
          $('#progress').value = currentSize / totalSize;
        },
      },
    );
    await room.sendMessage(message);
    offer(message, uid);
    $('#send').reset();
  } catch (error) {
    show(error);
  } finally {
    $('#cancel').hidden = $('#progress').hidden = true;
    $('#progress').value = 0;
  }
});

/** The server keeps a file for 7 days, for every user of the app who knows its id. */
function offer({ mediaId, fileName, size }, from) {
  const line = addLine('#files', `${from}: ${fileName}, ${size} bytes `);
  const button = document.createElement('button');
  button.type = 'button';
  button.textContent = 'Save';
  button.addEventListener('click', async () => {
    try {
      const blob = await client.downloadMedia(mediaId);
      const link = document.createElement('a');
      link.href = URL.createObjectURL(blob);
      // Saved, never opened as a page: it comes from a stranger.
      link.download = fileName;
      link.click();
      URL.revokeObjectURL(link.href);
    } catch (error) {
      show(error);
    }
  });
  line.append(button);
}
