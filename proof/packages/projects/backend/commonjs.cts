import server = require('@tidings/server');

const app = 'ImportStyles00000000000000000000';

async function main(): Promise<object> {
  const tidings = new server.Tidings({
    endpoint: process.env['ENDPOINT'] ?? '',
    key: process.env['KEY'] ?? '',
    app,
  });
  const { outcome }: server.Receipt = await tidings.sendToPeer('nobody', 'hello', {
    sender: 'system',
    wait: true,
  });
  const refused = await tidings.unban(999_999).catch((error: unknown) => error);
  let webhook = '';
  try {
    server.verifyWebhook('{}', {}, { secrets: 'secret' });
  } catch (error) {
    if (error instanceof server.WebhookError) webhook = error.code;
  }
  const key = '0123456789abcdef0123456789abcdef';
  const token = server.buildToken({ app: key, certificate: key, user: 'alice' }).slice(0, 3);
  return { outcome, refused: refused instanceof server.ApiError && refused.code, webhook, token };
}

void main().then((result) => console.log(JSON.stringify(result)));
