// Loads the panel's modules without a bundler. A widget's front end travels as one module, so the others come inside of
// it as text (`assets.py` puts them here): each becomes a blob, its imports rewritten to the blobs of what it imports.
const modules = {};  // name → text

const urls = new Map();

function url(name) {
  if (!urls.has(name)) {
    const text = modules[name].replace(/from "\.\/([\w-]+\.js)"/g, (_, other) => `from "${url(other)}"`);
    urls.set(name, URL.createObjectURL(new Blob([text], { type: "text/javascript" })));
  }
  return urls.get(name);
}

export default async () => {
  const { default: widget } = await import(url("panel.js"));
  for (const each of urls.values()) URL.revokeObjectURL(each);
  urls.clear();
  return widget;
};
