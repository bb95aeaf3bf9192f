/** A room with the hooks of @tidings/react, under StrictMode. */
import { usePeersOnline, useRtmChannel, useRtmClient, useRtmEvent } from '@tidings/react';
import { StrictMode, useState } from 'react';
import { createRoot } from 'react-dom/client';

const appId = 'ImportStyles00000000000000000000';
const endpoint = new URL(location.href).searchParams.get('endpoint');
const config = { endpoint };

function Room({ uid, room }) {
  const session = useRtmClient({ appId, uid, config });
  const { channel, isJoined, members } = useRtmChannel(session, room);
  const online = usePeersOnline(session, ['hook-watcher']);
  const [lines, setLines] = useState([]);
  const add = (line) => setLines((all) => [...all, line]);
  useRtmEvent(channel, 'ChannelMessage', ({ text }, from) => add(`${from} to ${room}: ${text}`));
  useRtmEvent(session.client, 'MessageFromPeer', ({ text }, from) => add(`${from}: ${text}`));
  return (
    <main>
      <p role="status">{`${session.state}${isJoined ? ` in ${room}` : ''}`}</p>
      <p>{`Members: ${[...members].sort().join(', ')}`}</p>
      <p>{`Watcher: ${online['hook-watcher'] ?? 'unknown'}`}</p>
      <button disabled={!isJoined} onClick={() => channel.sendMessage({ text: 'from React' })}>
        Send
      </button>
      <ul>
        {lines.map((line, index) => (
          <li key={index}>{line}</li>
        ))}
      </ul>
      {session.error && <p role="alert">{session.error.message}</p>}
    </main>
  );
}

function App() {
  const [room, setRoom] = useState('first-room');
  return (
    <>
      <button onClick={() => setRoom('second-room')}>Move</button>
      <Room uid="hook-user" room={room} />
    </>
  );
}

const root = createRoot(document.getElementById('root'));
root.render(
  <StrictMode>
    <App />
  </StrictMode>,
);
window.app = { unmount: () => root.unmount() };
