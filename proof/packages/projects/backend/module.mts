import {
  ApiError,
  buildToken,
  type Receipt,
  Tidings,
  verifyWebhook,
  WebhookError,
} from '@tidings/server';

const app = 'ImportStyles00000000000000000000';
const tidings = new Tidings({
  endpoint: process.env['ENDPOINT'] ?? '',
  key: process.env['KEY'] ?? '',
  app,
});
const { outcome }: Receipt = await tidings.sendToPeer('nobody', 'hello', {
  sender: 'system',
  wait: true,
});
// @ts-expect-error a message has a sender
await tidings.sendToPeer('nobody', 'hello', {}).catch((error: unknown) => error);
const refused = await tidings.unban(999_999).catch((error: unknown) => error);
let webhook = '';
try {
  verifyWebhook('{}', {}, { secrets: 'secret' });
} catch (error) {
  if (error instanceof WebhookError) webhook = error.code;
}
const key = '0123456789abcdef0123456789abcdef';
const token = buildToken({ app: key, certificate: key, user: 'alice' }).slice(0, 3);
console.log(
  JSON.stringify({ outcome, refused: refused instanceof ApiError && refused.code, webhook, token }),
);
