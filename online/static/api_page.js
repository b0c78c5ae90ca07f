// The interactive page over /openapi.json. Nothing is asked of other hosts: no validator, no remote documents.

const EMPTY = { array: [], object: {} };

const place = document.getElementById("api");
const spec = await (await fetch(place.dataset.document)).json();

// Swagger UI fills each field of a form that has no example with a word of its own, and would search for "string".
for (const field of Object.values(spec.components.schemas.SearchForm.properties)) {
  if (!("default" in field)) field.examples = [EMPTY[field.$ref ? "object" : field.type] ?? ""];
}

window.SwaggerUIBundle({
  domNode: place,
  spec,
  validatorUrl: null,
  deepLinking: true,
  tryItOutEnabled: true,
});
