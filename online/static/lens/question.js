// What a shopper asks. A question is a plain object that is replaced, never changed, so that history can keep each.

export const NO_QUESTION = Object.freeze({
  photo: null, // { file, uri, width, height }
  box: null, // { left, top, right, bottom }, each 0 to 1 of the upright photo
  text: "",
  imageWeight: 0.7,
  product: null, // a result: more like this one
  liked: [], // results
  disliked: [],
  filters: {}, // field → values; price → { min, max, currency }; in_stock → true
});

export const change = (question, changes) => Object.freeze({ ...question, ...changes });

export const asksSomething = (question) =>
  Boolean(question.photo || question.text || question.product || question.liked.length);

/** Words stand beside a photo or a product, so a weight decides between them. */
export const isMixed = (question) => Boolean(question.text && (question.photo || question.product));

/** A new photo or product starts anew; what is sold out stays hidden. */
export const startAnew = (question, changes) =>
  change(NO_QUESTION, {
    imageWeight: question.imageWeight,
    filters: question.filters.in_stock ? { in_stock: true } : {},
    ...changes,
  });

export function bboxOf({ photo, box }) {
  if (!photo?.width || !box) return null;
  const inPixels = (share, size) => (share * size).toFixed(1);
  return [
    inPixels(box.left, photo.width), inPixels(box.top, photo.height),
    inPixels(box.right, photo.width), inPixels(box.bottom, photo.height),
  ].join(",");
}

function filtersOf({ filters }) {
  const asked = {};
  for (const [field, value] of Object.entries(filters)) {
    const attribute = field.startsWith("attributes.") ? field.slice("attributes.".length) : null;
    if (attribute) asked.attributes = { ...asked.attributes, [attribute]: { in: value } };
    else asked[field] = Array.isArray(value) ? { in: value } : value;
  }
  return Object.keys(asked).length ? asked : null;
}

/** The fields of POST /search, without the photo. */
export function fieldsOf(question, { k, facets, explain }) {
  const ids = (results) => (results.length ? results.map((result) => result.product_id) : null);
  const fields = {
    text: question.text || null,
    image_weight: isMixed(question) ? question.imageWeight : null,
    product_id: question.product?.product_id,
    liked: ids(question.liked),
    disliked: ids(question.disliked),
    bbox: bboxOf(question),
    filters: filtersOf(question),
    facets,
    k,
    explain: explain || null,
  };
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null && value !== undefined));
}

/** A form where there is a photo, else an object to be sent as JSON. */
export function bodyOf(question, options) {
  const fields = fieldsOf(question, options);
  if (!question.photo) return fields;
  const form = new FormData();
  form.append("image", question.photo.file, question.photo.file.name || "photo");
  for (const [name, value] of Object.entries(fields)) {
    if (Array.isArray(value)) value.forEach((each) => form.append(name, each));
    else form.append(name, typeof value === "object" ? JSON.stringify(value) : String(value));
  }
  return form;
}

/** In words, for the summary and for a screen reader. */
export function describe(question) {
  const parts = [];
  if (question.photo) parts.push(question.box ? "products that look like the crop of your photo" : "products that look like your photo");
  if (question.product) parts.push(`products like ${question.product.title || question.product.product_id}`);
  if (question.text) parts.push(parts.length ? `and like “${question.text}”` : `products for “${question.text}”`);
  if (!parts.length && question.liked.length) parts.push("products like those that you chose");
  return parts.join(" ");
}
