// Forbids `f(...list)`: every element becomes an argument on the stack, and some 100,000 of them overflow it.
// A tuple has as many elements as its type says, and may be spread.

const METHODS_THAT_SPREAD = ['apply', 'construct'];

/** Whether the list's length is written down where the call is. */
function isLiteral(node) {
  return node.type === 'ArrayExpression' && node.elements.every((element) => element?.type !== 'SpreadElement');
}

export const noSpreadIntoCalls = {
  meta: {
    type: 'problem',
    docs: { description: 'no list of unknown length becomes the arguments of a call' },
    messages: {
      spread: 'A long list overflows the stack as arguments: use a loop, `concat`, `[...a, ...b]` or `highestOf`.',
    },
    schema: [],
  },
  create(context) {
    const services = context.sourceCode.parserServices;
    const checker = services.program.getTypeChecker();

    function isTuple(type) {
      if (type.isUnion()) return type.types.every(isTuple);
      return checker.isTupleType(type) && !type.target.hasRestElement;
    }

    function isBounded(node) {
      return isLiteral(node) || isTuple(checker.getApparentType(services.getTypeAtLocation(node)));
    }

    function check(node) {
      for (const argument of node.arguments) {
        if (argument.type === 'SpreadElement' && !isBounded(argument.argument)) {
          context.report({ node: argument, messageId: 'spread' });
        }
      }
    }

    /** `f.apply(self, list)`, `Reflect.apply(f, self, list)`, `Reflect.construct(f, list)` do the same. */
    function checkApply(node) {
      const { callee } = node;
      if (callee.type !== 'MemberExpression' || !METHODS_THAT_SPREAD.includes(callee.property.name)) return;
      const isReflect = callee.object.name === 'Reflect';
      const isFunction = services.getTypeAtLocation(callee.object).getCallSignatures().length > 0;
      const list = node.arguments.at(-1);
      if ((!isReflect && !isFunction) || node.arguments.length < 2 || list.type === 'SpreadElement') return;
      if (!isBounded(list)) context.report({ node: list, messageId: 'spread' });
    }

    return {
      CallExpression(node) {
        check(node);
        checkApply(node);
      },
      NewExpression: check,
    };
  },
};
