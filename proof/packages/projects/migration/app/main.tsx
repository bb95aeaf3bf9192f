import { StrictMode, useEffect, useState } from 'react';
// @ts-expect-error the types of react-dom are not installed
import { createRoot } from 'react-dom/client';
import { type Session, enter } from './session';

declare global {
  interface Window {
    app: { unmount(): void };
  }
}

function Chat({ uid }: { uid: string }) {
  const [session, setSession] = useState<Session>();
  const [lines, setLines] = useState<string[]>([]);
  useEffect(() => {
    let isThere = true;
    const entered = enter(uid, 'moved-room', (line) => setLines((all) => [...all, line]));
    entered.then(
      (made) => isThere && setSession(made),
      () => undefined,
    );
    return () => {
      isThere = false;
      entered.then(
        ({ client }) => client.logout(),
        () => undefined,
      );
    };
  }, [uid]);
  return (
    <main>
      <p role="status">{session ? session.client.connectionState : 'entering'}</p>
      <button onClick={() => session?.channel.sendMessage({ text: 'moved over' })}>Send</button>
      <ul>
        {lines.map((line, index) => (
          <li key={index}>{line}</li>
        ))}
      </ul>
    </main>
  );
}

const root = createRoot(document.getElementById('root'));
root.render(
  <StrictMode>
    <Chat uid="mover" />
  </StrictMode>,
);
window.app = { unmount: () => root.unmount() };
