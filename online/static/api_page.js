// The interactive page over /openapi.json. Nothing is asked of other hosts: no validator, no remote documents.

const place = document.getElementById("api");

window.SwaggerUIBundle({
  domNode: place,
  url: place.dataset.document,
  validatorUrl: null,
  deepLinking: true,
  tryItOutEnabled: true,
});
