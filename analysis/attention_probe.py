"""Does attention follow the words in time? Word-to-frame attention against exact intervals, beside its nulls.

`python -m analysis.attention_probe [RUN ...]` measures the token-level runs of one recipe (their training
seeds) on clips whose word intervals are known exactly; `--run RUN --prompt TEXT` instead draws the map of any
prompt on any run. What is captured, and how: `analysis.attention_capture`. Every statistic:
`analysis.statistics`.

A run with fixed-length conditioning has one memory token: its attention is the constant 1, so that there is no
map to measure. Such runs are refused with that reason; the comparison of the two injections is behaviour
(`evaluators.run`).

Record (`kind="probe"`, `name="attention_probe"`). `RUN` is the name of a run's folder, `ARM` the recipe without
its dataset prefix (`casim` for `choreography_casim`), whose values are means over its runs with a two-way
bootstrap interval (clips x training seeds). Every `Measure.protocol` says in words what was averaged. Keys of
`results`:

- `{RUN|ARM}/auc`, `.../auc/natural`, `.../auc/reversed`, `.../auc/pair`, `.../auc/triple`: word-to-frame AUC of
  the map averaged over noise steps, layers and heads; all pair and triple clips, or those of one group.
- `ARM/auc/t{step}`, `ARM/auc/layer{k}`: the same from one noise step, from one layer.
- `null untrained/auc[/GROUP]`, `null position/auc[/GROUP]`, `null time reversal/auc[/GROUP]`, `null prompt
  swap/auc[/GROUP]`: what the same statistic gives with the null's map; GROUP: natural, reversed, pair, triple.
- `ARM - null position/auc[/GROUP]`, `ARM - null untrained/auc[/GROUP]`: paired differences.
- `{RUN|ARM}/boundary_rho/t{step}`: Spearman correlation over pair clips of where attention switches from the
  words of the first action to those of the second, and where the motion does; `null
  untrained/boundary_rho/t{step}` beside it.
- `ARM/boundary_rho/rise`: that at the lowest noise step less that at the highest, with interval.
- `ARM/boundary_error/t{step}`: mean distance of the two, as a share of the clip; `null
  constant/boundary_error`: the same when the median boundary is always answered.
- `ARM/share`, `null uniform/share`: share of attention to content words that goes to words of the action under
  way.
- `ARM/sink`: attention on special tokens; `ARM/text_mass`: attention of motion on text (1 for cross-attention).
- `gate/semantic gain`, `gate/boundary tracking`, `gate/untrained is null`: 1 passed, 0 failed; `protocol` holds
  the rule and what was measured. `verdict/WORD` with WORD one of semantic, positional, mixed, undetermined: the
  one that holds; `protocol` is the sentence to print.

`config`: `{"protocol": {"text", "split", "steps", "samples", "seed", ...}, "runs": {RUN: its config}, "arm": ARM,
"notes": [...]}`.

`arrays.npz` (about 6 examples, `i` from 0; `steps` are the captured noise steps, high to low):

- `examples` int: their number; `steps` int [steps]; `fps` float.
- `example{i}/prompt`, `/id`, `/kind` str; `/is_reversed` bool; `/words` str [words].
- `example{i}/starts`, `/ends`, `/segments` int [words] (frames; segment -1: no single action); `/is_content`
  bool [words].
- `example{i}/map` float16 [words, frames]: mean over steps, layers, heads, from the real clip noised; a frame's
  column sums to 1 less `example{i}/sink` float16 [frames].
- `example{i}/map_steps` float16 [steps, words, frames]; `example{i}/position_map` float16 [words, frames]: the
  null's map.
- `example{i}/real`, `example{i}/generated` float16 [frames, joints, 3] metres; `example{i}/generated_map` float16
  [words, frames]: the map of the generated motion, noised in the same way.
- `clips/id` str [clips], `clips/kind` str, `clips/is_reversed` bool, `clips/auc`, `clips/auc_position`,
  `clips/auc_untrained` float32 [clips] (mean over runs; NaN where a clip has no word that the statistic can use).
- `boundary/true` float32 [pairs] share of the clip, `boundary/found` float32 [steps, pairs],
  `boundary/is_reversed` bool [pairs]: of the first run.

The record of a drawn map (`--prompt`; `kind="probe"`, `name="attention_map"`): results `sink`, `text_mass`;
artifacts `map.png`, `map.npz` (`map`, `map_steps`, `steps`, `words`, `prompt`, `sink`, `fps`, `generated`).
"""
