/**
 * The demonstration page of Tidings.
 *
 * Reading order: `chat.ts`, `board.ts`, `pictures.ts`, `call/calls.ts` (all use of the SDK), `model.ts`,
 * `words.ts`; then `view/page.ts` and what it is made of. This file is the way in and the way out:
 * login and logout.
 */
import { conversationIn, setUserInAddress, userInAddress } from './address.js';
import { lastName } from './memory.js';
import { ConnectionView, Notices } from './view/connection.js';
import { byId, onSubmit } from './view/dom.js';
import { Page } from './view/page.js';
import { inWords } from './words.js';

const form = byId<HTMLFormElement>('login-form');
const nameField = byId<HTMLInputElement>('name');
const notices = new Notices();
const page = new Page(
  new ConnectionView({ loginAgain, reconnectNow: () => page.reconnectNow() }),
  notices,
);

/** A login that takes longer is explained. Milliseconds. */
const LONG_LOGIN_MS = 1500;

async function login(name: string): Promise<void> {
  await whileWaiting(page.login(name));
  lastName.write(name);
  setUserInAddress(name);
  byId('my-name').textContent = name;
  showChat(true);
  page.follow();
}

async function logout(): Promise<void> {
  // Others see at once that we are gone; when the server cannot be asked, they see it a little later.
  await page.logout().catch((error: unknown) => notices.add(inWords('login', error)));
  setUserInAddress(null);
  showChat(false);
  nameField.focus();
}

/** After an ABORTED state: the old login has to be put away before a new one. */
function loginAgain(): void {
  const name = page.chat?.me ?? '';
  page
    .logout()
    .then(() => login(name))
    .catch((error: unknown) => notices.add(inWords('login', error)));
}

function showChat(isShown: boolean): void {
  byId('login').hidden = isShown;
  byId('chat').hidden = !isShown;
  byId('me').hidden = !isShown;
}

/** Somebody has come by a link: say where it leads. */
function welcome(): void {
  const wanted = conversationIn(location.hash);
  if (!wanted) return;
  const { is, name } = wanted;
  byId('login-title').textContent = is === 'person' ? `Talk to ${name}` : `Join #${name}`;
  byId('login-lead').textContent = 'Type a name to go there. Any name will do.';
}

/** Shows that something is going on; without an answer, the SDK tries for 12 seconds. */
async function whileWaiting(done: Promise<void>): Promise<void> {
  const button = byId('login-button');
  const progress = byId('login-progress');
  button.setAttribute('aria-busy', 'true');
  const timer = setTimeout(() => {
    progress.textContent = 'The server has not answered yet. Still trying …';
  }, LONG_LOGIN_MS);
  try {
    await done;
  } finally {
    clearTimeout(timer);
    progress.textContent = '';
    button.removeAttribute('aria-busy');
  }
}

// A name that is there already gives way to the next one that is typed.
nameField.addEventListener('focus', () => nameField.select());
onSubmit(form, login, (error) => inWords('login', error));
byId('logout').addEventListener('click', () => void logout());
document.addEventListener('visibilitychange', () => {
  if (!document.hidden) page.seen();
});
// A page that the browser only puts aside, to come back to it, keeps its login.
window.addEventListener('pagehide', (event) => {
  if (!event.persisted) page.leaveNow();
});

welcome();
const user = userInAddress();
nameField.value = user ?? lastName.read();
if (user) form.requestSubmit();
else nameField.focus();
