// The system's own fonts: the page is drawn at once, and nothing is fetched for it.
import { useRoute } from 'vitepress';
import Theme from 'vitepress/theme-without-fonts';
import { defineComponent, h, nextTick, onMounted, watch } from 'vue';
import './style.css';

/** The theme's home page has no landmark for its content, by which a screen reader would jump to it. */
const Layout = defineComponent(() => {
  const route = useRoute();
  const mark = async () => {
    await nextTick();
    const content = document.getElementById('VPContent');
    if (content?.querySelector('main')) content.removeAttribute('role');
    else content?.setAttribute('role', 'main');
  };
  onMounted(mark);
  watch(() => route.path, mark, { flush: 'post' });
  return () => h(Theme.Layout);
});

export default { extends: Theme, Layout };
