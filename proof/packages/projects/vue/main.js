/** Client, channel and invitation in a component's data, which Vue makes reactive. */
import AgoraRTM from '@tidings/rtm';
import { createApp, h } from 'vue';

const APP_ID = 'ImportStyles00000000000000000000';
const endpoint = new URL(location.href).searchParams.get('endpoint');

const app = createApp({
  data: () => ({
    client: null,
    channel: null,
    call: { invitation: null },
    status: 'starting',
    messages: [],
  }),
  async mounted() {
    this.client = AgoraRTM.createInstance(APP_ID, {
      endpoint,
      logFilter: AgoraRTM.LOG_FILTER_WARNING,
    });
    await this.client.login({ uid: 'vue-reader' });
    this.channel = this.client.createChannel('vue-room');
    this.channel.on('ChannelMessage', ({ text }) => this.messages.push(text));
    await this.channel.join();
    this.call.invitation = this.client.createLocalInvitation('vue-watcher');
    this.call.invitation.content = 'from Vue';
    this.call.invitation.on('LocalInvitationAccepted', () => (this.status = 'accepted'));
    this.call.invitation.send();
    this.status = this.client.connectionState === 'CONNECTED' ? 'in the channel' : 'not connected';
  },
  beforeUnmount() {
    this.channel.off('ChannelMessage', () => {});
    this.client.logout();
  },
  render() {
    return h('main', [
      h('p', { role: 'status' }, this.status),
      h(
        'ul',
        this.messages.map((text) => h('li', text)),
      ),
    ]);
  },
});
app.mount('#root');
window.app = { unmount: () => app.unmount() };
