// The panel: `initialize` once for a model, `render` once for each view of it. Everything else is in the modules beside.

import { Composer } from "./composer.js";
import { h } from "./dom.js";
import { Head } from "./head.js";
import { Place } from "./place.js";
import { Search } from "./search.js";
import { Speaker } from "./speak.js";
import { Notice, Queue, Usage, empty } from "./state.js";
import { Talk } from "./talk.js";
import { Transcript } from "./transcript.js";

const SHORTCUTS = ["keydown", "keyup", "keypress", "copy", "cut", "paste", "contextmenu"];

let talk;

function initialize({ model, signal }) {
  talk = new Talk(model, signal);
}

function render({ el }) {
  const life = new AbortController();
  const root = h("section", { class: "kimi-panel", data: { lmSuppressShortcuts: "true", jpSuppressContextMenu: "true" }, aria: { label: "Kimi" } });
  // The notebook's own keys stay out, and what is typed here stays in.
  for (const each of SHORTCUTS) root.addEventListener(each, (event) => event.stopPropagation());
  const place = new Place(talk.manager, el);
  const speaker = new Speaker();
  const say = (text) => speaker.say(text);
  const context = {
    talk,
    place,
    say,
    edit: (entry) => composer.edit(entry),
    again: ({ id, turn }) => talk.send({ type: "again", ...(turn ? { turn } : { id }) }),
    branch: (turn) => talk.send({ type: "branch", turn }),
  };
  const composer = new Composer(context, () => transcript.follower.follow());
  const start = empty(talk, (text) => composer.fill(text));
  const transcript = new Transcript({ ...context, hear: (text) => speaker.hear(text) }, start.element);
  const search = new Search(transcript, talk, say);
  const head = new Head(talk, () => (search.element.hidden ? search.open() : search.hide()));
  const notice = new Notice(talk, root);
  const queue = new Queue(talk);
  const usage = new Usage(talk);
  composer.element.prepend(notice.element, queue.element);
  composer.element.append(usage.element);
  root.append(head.element, head.below, search.element, transcript.element, composer.element, speaker.element);
  el.append(root);

  const listen = (types, act) => { for (const type of types) talk.addEventListener(type, ({ detail }) => act(detail), { signal: life.signal }); };
  listen(["transcript"], () => { transcript.reset(); search.look(); });
  listen(["entry"], (change) => { transcript.put(change); search.look(); });
  listen(["delta"], (change) => transcript.grow(change));
  listen(["earlier"], (change) => { transcript.before(change); search.look(); });
  listen(["gone"], (change) => transcript.remove(change));
  listen(["saw"], ({ id, html }) => transcript.turn(id)?.saw(html));
  listen(["status", "waiting"], () => { notice.show(); queue.show(); composer.show(); head.show(); });
  listen(["later"], () => composer.show());
  listen(["choices"], () => head.show());
  listen(["usage"], () => usage.show());
  listen(["status"], () => usage.show());
  listen(["suggestions"], () => start.show());
  listen(["say"], ({ text }) => { transcript.flush(); speaker.finish(text); });
  listen(["refill"], (back) => composer.refill(back));
  return () => {
    life.abort();
    for (const each of [composer, transcript, search, speaker]) each.close();
    root.remove();
  };
}

export default { initialize, render };
