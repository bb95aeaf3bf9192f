// How the SDKs are built for the applications that they are for: many were written for the original SDKs years ago.
// What is built depends on the sources alone: not on their place, nor on the order in which they are read.
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

/**
 * What webpack 4 can parse, with which many of these applications are built, and what browsers of 2019 can run: Chrome
 * 73, Firefox 69, Safari 12.1, Edge 79.
 */
export const target = 'es2019';

/** Lowers what is newer than the target; nothing of ours depends on what these assumptions give up. */
export const transform = {
  target,
  assumptions: { noDocumentAll: true, setPublicClassFields: true },
  typescript: { removeClassFieldsWithoutInitializer: true },
};

/**
 * Private names become ordinary short ones that begin with an underscore: lowered to weak maps they would be slower
 * and a tenth larger. Spaces fill each up to its length, so source maps stay right. The names are dealt out by the
 * alphabet, over all files of the folders. `parse` is Vite's `parseAst`.
 */
export function privateNames(parse, folders) {
  const found = new Set();
  const classes = new Map();
  for (const node of nodesOf(parse, folders)) {
    if (node.type === 'PrivateIdentifier') found.add(node.name);
    if (node.type === 'ClassDeclaration') classes.set(node.id.name, node);
  }
  for (const [name, { superClass }] of classes) {
    const inherited = privateMembers(classes.get(superClass?.name));
    const doubled = privateMembers(classes.get(name)).filter((member) =>
      inherited.includes(member),
    );
    if (doubled.length > 0)
      throw new Error(
        `${name} and ${superClass.name} both have #${doubled.join(', #')}: rename one`,
      );
  }
  const short = new Map([...found].sort().map((name, at) => [name, `_${at.toString(36)}`]));
  return {
    name: 'private-names',
    enforce: 'pre',
    transform(code, id) {
      if (!id.endsWith('.ts')) return undefined;
      let renamed = code;
      visit(parse(code, { lang: 'ts' }, id), (node) => {
        if (node.type !== 'PrivateIdentifier') return;
        const name = short.get(node.name).padEnd(node.name.length + 1);
        renamed = renamed.slice(0, node.start) + name + renamed.slice(node.end);
      });
      return { code: renamed, map: null };
    },
  };
}

/**
 * Names of members that only our own code uses, for a minifier to shorten: those of our types and messages, without
 * the words of the public typings, without texts that may name a member, and without what copies of the SDK share.
 */
export function internalNames(parse, folders, { typings, shared }) {
  const names = new Set();
  const declared = readFileSync(typings, 'utf8').replace(/\/\*[^]*?\*\//g, '');
  const kept = new Set(declared.match(/[\w$]+/g));
  for (const node of nodesOf(parse, folders)) {
    const members = [
      'PropertyDefinition',
      'MethodDefinition',
      'TSPropertySignature',
      'TSMethodSignature',
      'Property',
    ];
    if (members.includes(node.type) && node.key.type === 'Identifier' && !node.computed)
      names.add(node.key.name);
    if (node.type === 'Literal' && typeof node.value === 'string') kept.add(node.value);
  }
  // Texts of templates are no names, but nothing is lost by leaving their words alone.
  visit(parse(readFileSync(shared, 'utf8'), { lang: 'ts' }, shared), (node) => kept.add(node.name));
  return [...names].filter((name) => !kept.has(name) && /^[a-z]../.test(name)).sort();
}

/** All parts of all files, the files in the order of their names. */
function* nodesOf(parse, folders) {
  for (const folder of folders) {
    const files = readdirSync(folder, { recursive: true }).filter((name) => name.endsWith('.ts'));
    for (const name of files.sort()) {
      const found = [];
      visit(parse(readFileSync(join(folder, name), 'utf8'), { lang: 'ts' }, name), (node) =>
        found.push(node),
      );
      yield* found;
    }
  }
}

function privateMembers(node) {
  const members = node?.body.body ?? [];
  return members.filter(({ key }) => key?.type === 'PrivateIdentifier').map(({ key }) => key.name);
}

function visit(node, look) {
  if (node === null || typeof node !== 'object') return;
  if (typeof node.type === 'string') look(node);
  for (const child of Object.values(node)) visit(child, look);
}
