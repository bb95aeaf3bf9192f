/** How a state of the page looks: on a laptop and a phone, by day and by night. */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import axe from 'axe-core';

const SIZES = [
  { width: 1280, height: 800 },
  { width: 390, height: 844 },
];
const SCHEMES = ['light', 'dark'];

let folder;
async function screenshotFolder() {
  folder ??=
    process.env['E2E_SCREENSHOTS'] ?? (await mkdtemp(join(tmpdir(), 'tidings-e2e-screenshots-')));
  await mkdir(folder, { recursive: true });
  return folder;
}

/** Stores four pictures of the page as it stands, checks each for width, and each size and scheme for access; `grave`: only for grave faults, `access: false`: not at all, as for pages of another project's making. */
export async function look(page, state, { sizes = SIZES, grave = false, access = true } = {}) {
  const before = page.viewportSize();
  for (const size of sizes) {
    for (const colorScheme of SCHEMES) {
      await page.setViewportSize(size);
      await page.emulateMedia({ colorScheme });
      const name = `${state}-${size.width}x${size.height}-${colorScheme}`;
      await page.screenshot({ path: join(await screenshotFolder(), `${name}.png`) });
      await checkWidth(page, name);
      // Each size and each scheme once: contrast is a matter of the scheme, everything else of the size.
      if (access && (size === sizes[0]) === (colorScheme === SCHEMES[0]))
        await checkAccess(page, name, grave);
    }
  }
  await page.setViewportSize(before);
  await page.emulateMedia({ colorScheme: null });
}

async function checkWidth(page, name) {
  const [content, window] = await page.evaluate(() => [
    document.documentElement.scrollWidth,
    innerWidth,
  ]);
  assert.ok(
    content <= window,
    `${name}: the page is ${content} px wide in a window of ${window} px`,
  );
}

/** WCAG 2.2 A and AA, as far as a program can tell, contrast included. */
async function checkAccess(page, name, grave) {
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(() =>
    window.axe.run({
      runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'],
    }),
  );
  const counted = violations.filter(
    ({ impact }) => !grave || ['serious', 'critical'].includes(impact),
  );
  const found = counted.map(
    ({ id, help, nodes }) =>
      `${id}: ${help}\n  ${nodes.map(({ html, failureSummary }) => `${html}\n    ${failureSummary}`).join('\n  ')}`,
  );
  assert.deepEqual(found, [], `${name} is not accessible`);
}
