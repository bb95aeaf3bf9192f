/**
 * What all examples share: a form that asks for a name, then a client that is logged in.
 *
 * In an app of yours, the user id comes from your own login, and the token from your backend.
 */
const APP_ID = 'TidingsExamples00000000000000000';

/** Resolves with a client that is logged in, and its user id. */
export async function login() {
  const address = new URL(location.href).searchParams;
  const uid = address.get('user') ?? (await askForName());
  // Without an endpoint, the client connects to the server that the page came from.
  const client = AgoraRTM.createInstance(address.get('app') ?? APP_ID);
  const state = document.querySelector('#state');
  client.on('ConnectionStateChanged', (now, reason) => {
    state.textContent = `${uid}: ${now} (${reason})`;
  });
  try {
    await client.login({ uid, token: address.get('token') ?? undefined });
  } catch (error) {
    show(error);
    throw error;
  }
  document.querySelector('#app').hidden = false;
  // Others see at once that this page is gone, instead of after 30 seconds.
  addEventListener('pagehide', () => client.logoutSync());
  return { client, uid };
}

/** Shows what went wrong; every error of the SDK says it in words. */
export function show(error) {
  document.querySelector('#error').textContent = error?.message ?? '';
}

/** Adds a line to a list. Text goes in as text: what users write must never become HTML. */
export function addLine(list, text) {
  const line = document.createElement('li');
  line.textContent = text;
  document.querySelector(list).append(line);
  return line;
}

/** Calls `handle` with what was typed into the only field of a form, and shows its errors. */
export function onSubmit(form, handle) {
  document.querySelector(form).addEventListener('submit', (event) => {
    event.preventDefault();
    const field = event.target.querySelector('input');
    const text = field.value.trim();
    if (text === '') return;
    field.value = '';
    show();
    Promise.resolve(handle(text)).catch(show);
  });
}

function askForName() {
  const form = document.querySelector('#login');
  form.hidden = false;
  return new Promise((resolve) => {
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      const name = form.querySelector('input').value.trim();
      if (name === '') return;
      form.hidden = true;
      resolve(name);
    });
  });
}
