// A shopper's photo, made ready to be sent.

const TAKEN = ["image/jpeg", "image/png", "image/webp"];
const SENT_AS_IT_IS_MAX_BYTES = 3_000_000;
const SIDE_MAX_PX = 2000; // more detail than any encoder looks at, even in a small crop

/** { file, uri, width, height } of the upright photo; width and height are 0 where this browser cannot show it.
 *
 * A phone's photo is made smaller before it travels, and a format that only the browser knows becomes a JPEG. A file
 * that is no photo is sent as it is: the searcher says what is wrong with it.
 */
export async function readPhoto(file) {
  const picture = await createImageBitmap(file, { imageOrientation: "from-image" }).catch(() => null);
  if (!picture) return { file, uri: "", width: 0, height: 0 };
  const { width, height } = picture;
  const sent = TAKEN.includes(file.type) && file.size <= SENT_AS_IT_IS_MAX_BYTES ? null : await makeSmaller(picture);
  picture.close();
  if (!sent) return { file, uri: URL.createObjectURL(file), width, height };
  return { file: sent.file, uri: URL.createObjectURL(sent.file), width: sent.width, height: sent.height };
}

async function makeSmaller(picture) {
  const scale = Math.min(1, SIDE_MAX_PX / Math.max(picture.width, picture.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(picture.width * scale));
  canvas.height = Math.max(1, Math.round(picture.height * scale));
  const pen = canvas.getContext("2d");
  pen.fillStyle = "#fff"; // a JPEG has no transparency
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.imageSmoothingQuality = "high";
  pen.drawImage(picture, 0, 0, canvas.width, canvas.height);
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.92));
  return { file: new File([blob], "photo.jpg", { type: "image/jpeg" }), width: canvas.width, height: canvas.height };
}

/** The first photo among files that were dropped or pasted, or null. */
export function photoAmong(files) {
  return [...(files || [])].find((file) => file.type.startsWith("image/")) || null;
}
