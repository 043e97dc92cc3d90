import type { DecoderConfig } from './decoder-config.ts';

/** A config in a few lines: sizes of the network, of its heads and its MLP, and what is unusual about it. */
export function describeConfig(config: DecoderConfig): string {
  const { modelType, nLayers, dim, nHeads, nKvHeads, headDim, mlpDim, vocabSize, maxPositions } = config;
  const { windows, ropes, experts, latent, tieEmbeddings, attentionSinks, attentionSoftCap } = config;
  const windowed = windows.filter((window) => window < Infinity);
  const unrotated = ropes.filter((rope) => rope === undefined).length;
  const notes = [
    windowed.length > 0 && `${windowed.length} layers see ${[...new Set(windowed)].join(' or ')} tokens`,
    unrotated > 0 && `${unrotated} layers without rotation`,
    attentionSinks && 'attention sinks',
    attentionSoftCap !== undefined && `scores bounded by ${attentionSoftCap}`,
    latent && `latent attention of rank ${latent.rank}${latent.absorbed ? ', absorbed' : ''}`,
    tieEmbeddings && 'head tied to the embedding',
  ];
  const sparse =
    experts &&
    `${experts.layers.filter(Boolean).length} layers with ${experts.count} experts of width ${experts.dim}, ${experts.perToken} per token`;
  return [
    `DecoderConfig ${modelType}`,
    `${nLayers} layers of width ${dim}, vocabulary ${vocabSize}, ${maxPositions} positions`,
    `attention: ${nHeads} heads of ${headDim}, ${nKvHeads} for keys and values`,
    `MLP: width ${mlpDim}, ${config.activation}${config.gatedMlp ? ', gated' : ''}${sparse ? `; ${sparse}` : ''}`,
    ...notes.filter((note) => typeof note === 'string'),
  ].join('\n  ');
}

/**
 * Has `console.log` print a config by `describeConfig`, and debuggers by its first line; a copy of it (`{ ...config }`) is printed
 * field by field.
 */
export const describedOnConsole = <C extends DecoderConfig>(config: C): C =>
  Object.defineProperties(config, {
    [Symbol.for('nodejs.util.inspect.custom')]: { value: () => describeConfig(config), configurable: true },
    [Symbol.for('debug.description')]: { value: () => `DecoderConfig ${config.modelType}`, configurable: true },
  });
