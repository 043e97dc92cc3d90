/** An exception of Python or Jinja2 in a template, with the message that it has there. */
export class TemplateFault extends Error {}
