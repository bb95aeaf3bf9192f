/** Login in an effect, logout in its clean-up, under StrictMode, which mounts everything twice. */
import AgoraRTM from '@tidings/rtm';
import { StrictMode, useEffect, useState } from 'react';
import { createRoot } from 'react-dom/client';

const APP_ID = 'ImportStyles00000000000000000000';
const endpoint = new URL(location.href).searchParams.get('endpoint');

/** What the test reads. */
window.app = { mounts: 0, faults: [], connections: [] };

function useMessages(uid) {
  const [connection, setConnection] = useState('DISCONNECTED');
  const [messages, setMessages] = useState([]);
  useEffect(() => {
    window.app.mounts++;
    let isMounted = true;
    const fail = (what) => (error) => window.app.faults.push(`${what}: ${error.message}`);
    const client = AgoraRTM.createInstance(APP_ID, {
      endpoint,
      logFilter: AgoraRTM.LOG_FILTER_WARNING,
    });
    client.on('ConnectionStateChanged', (state, reason) => {
      window.app.connections.push(`${state} ${reason}`);
      if (isMounted) setConnection(state);
    });
    client.on('MessageFromPeer', ({ text }) => setMessages((former) => [...former, text]));
    client.login({ uid }).catch((error) => {
      // The clean-up has given up a login that was on its way.
      if (isMounted) fail('login')(error);
    });
    return () => {
      isMounted = false;
      client.logout().catch(fail('logout'));
    };
  }, [uid]);
  return { connection, messages };
}

function Inbox({ uid }) {
  const { connection, messages } = useMessages(uid);
  return (
    <main>
      <p role="status">{connection}</p>
      <ul>
        {messages.map((text, index) => (
          <li key={index}>{text}</li>
        ))}
      </ul>
    </main>
  );
}

const root = createRoot(document.getElementById('root'));
root.render(
  <StrictMode>
    <Inbox uid="react-reader" />
  </StrictMode>,
);
window.app.unmount = () => root.unmount();
