// The module in the form that anywidget loads; other hosts call it alike.

import type { Model } from "./asks";
import { Theatre } from "./theatre";

export default {
  render({ model, el }: { model: Model; el: HTMLElement }): () => void {
    const theatre = new Theatre(model, el);
    return () => theatre.destroy();
  },
};
