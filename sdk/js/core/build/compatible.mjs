// How the SDKs are built for the applications that they are for: many were written for the original SDKs years ago.

/**
 * What webpack 4 can parse, with which many of these applications are built, and what browsers of 2019 can run: Chrome
 * 73, Firefox 69, Safari 12.1, Edge 79.
 */
export const target = 'es2019';

/** Lowers what is newer than the target; nothing of ours depends on what these assumptions give up. */
export const transform = { target, assumptions: { noDocumentAll: true, setPublicClassFields: true } };

/**
 * Private names become ordinary short ones that begin with an underscore: lowered to weak maps they would be slower
 * and a tenth larger. Spaces fill each up to its length, so source maps stay right. `parse` is Vite's `parseAst`.
 */
export function privateNames(parse) {
  const short = new Map();
  const classes = new Map();
  const shorten = (name) => {
    if (!short.has(name)) short.set(name, `_${short.size.toString(36)}`);
    return short.get(name).padEnd(name.length + 1);
  };
  return {
    name: 'private-names',
    enforce: 'pre',
    transform(code, id) {
      if (!id.endsWith('.ts')) return undefined;
      const found = [];
      visit(parse(code, { lang: 'ts' }, id), (node) => {
        if (node.type === 'PrivateIdentifier') found.push(node);
        if (node.type === 'ClassDeclaration') classes.set(node.id.name, node);
      });
      let renamed = code;
      for (const { start, end, name } of found) renamed = renamed.slice(0, start) + shorten(name) + renamed.slice(end);
      return { code: renamed, map: null };
    },
    buildEnd() {
      for (const [name, { superClass }] of classes) {
        const inherited = privateMembers(classes.get(superClass?.name));
        const doubled = privateMembers(classes.get(name)).filter((member) => inherited.includes(member));
        if (doubled.length > 0) throw new Error(`${name} and ${superClass.name} both have #${doubled.join(', #')}: rename one`);
      }
    },
  };
}

function privateMembers(node) {
  const members = node?.body.body ?? [];
  return members.filter(({ key }) => key?.type === 'PrivateIdentifier').map(({ key }) => key.name);
}

function visit(node, look) {
  if (node === null || typeof node !== 'object') return;
  look(node);
  for (const child of Object.values(node)) visit(child, look);
}
