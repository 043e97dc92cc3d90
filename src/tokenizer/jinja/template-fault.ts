/** Python's exceptions, as far as their message goes. */
export class TemplateFault extends Error {}
