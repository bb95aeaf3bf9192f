/** The icons of `index.html`. */

const SVG = 'http://www.w3.org/2000/svg';

export function icon(name: string): SVGSVGElement {
  const svg = document.createElementNS(SVG, 'svg');
  svg.classList.add('icon');
  svg.setAttribute('aria-hidden', 'true');
  const use = document.createElementNS(SVG, 'use');
  use.setAttribute('href', `#icon-${name}`);
  svg.append(use);
  return svg;
}

/** A button of an icon and a word gets others. */
export function relabel(button: HTMLElement, name: string, label: string): void {
  button.querySelector('use')?.setAttribute('href', `#icon-${name}`);
  const words = button.querySelector('span');
  if (words && words.textContent !== label) words.textContent = label;
}
