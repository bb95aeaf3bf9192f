/** A component that uses the package in an effect, rendered to text: effects do not run there. */
import AgoraRTM from '@tidings/rtm';
import { useEffect, useState } from 'react';

export function Inbox({ uid }) {
  const [state, setState] = useState(AgoraRTM.ConnectionState.DISCONNECTED);
  useEffect(() => {
    const client = AgoraRTM.createInstance('ImportStyles00000000000000000000');
    client.on('ConnectionStateChanged', setState);
    client.login({ uid }).catch(() => undefined);
    return () => client.logoutSync();
  }, [uid]);
  return <p>{state}</p>;
}
