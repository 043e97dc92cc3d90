// Lint rules of this repository, which .oxlintrc.json loads.

const hashPrivate = {
  meta: {
    type: 'suggestion',
    schema: [],
    messages: { hash: 'Private members are named #{{ name }}, not marked {{ word }}.' },
  },
  create(context) {
    const check = (node) => {
      const isMarked = node.accessibility === 'private' || node.accessibility === 'protected';
      if (isMarked && node.kind !== 'constructor') {
        const data = { name: node.key?.name ?? 'name', word: node.accessibility };
        context.report({ node, messageId: 'hash', data });
      }
    };
    return { MethodDefinition: check, PropertyDefinition: check, AccessorProperty: check, TSParameterProperty: check };
  },
};

export default { meta: { name: 'vitrine' }, rules: { 'hash-private': hashPrivate } };
