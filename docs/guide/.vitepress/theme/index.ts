// The system's own fonts: the page is drawn at once, and nothing is fetched for it.
import Theme from 'vitepress/theme-without-fonts';
import './style.css';

export default Theme;
