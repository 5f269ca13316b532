// Requests to the service. Paths are relative to the page: the service may lie behind a path prefix.

export class ServiceError extends Error {
  constructor({ title, detail = "", status = 0, type = "", request_id: requestId = "" }) {
    super(detail);
    Object.assign(this, { title, detail, status, type, requestId });
  }
}

async function read(response) {
  const type = response.headers.get("content-type") ?? "";
  const status = response.status;
  if (response.ok && type.startsWith("application/json")) return response.json();
  if (type.startsWith("application/problem+json")) throw new ServiceError({ status, ...(await response.json()) });
  throw new ServiceError({ title: "Unexpected answer", status, detail: `The service answered with status ${status}.` });
}

async function request(path, options) {
  try {
    return await read(await fetch(path, options));
  } catch (error) {
    if (error instanceof ServiceError || error.name === "AbortError") throw error;
    throw new ServiceError({ title: "No answer", detail: "The service cannot be reached. Check whether it is running." });
  }
}

// The bundle's id in the address lets the browser keep the picture until the bundle changes.
function addPictures(items, bundleId) {
  for (const item of items) item.picture = `${item.thumbnail.replace(/^\/+/, "")}?v=${bundleId}`;
}

export async function loadBundle() {
  const bundle = await request("v1/bundle");
  const detail = "The service does not say what it serves.";
  if (!Array.isArray(bundle?.examples)) throw new ServiceError({ title: "Unexpected answer", detail });
  addPictures(bundle.examples, bundle.bundle_id);
  return bundle;
}

// `query` has a photo's `file` and `box`, or an `item`; `parameters` are the fields of the filters.
export async function search(query, parameters, signal, offset = 0) {
  const fields = new URLSearchParams(parameters);
  fields.append("timings", "true");
  if (offset) fields.append("offset", offset);
  const answer = await (query.item ? similarItems(query.item, fields, signal) : itemsLikePhoto(query, fields, signal));
  addPictures(answer.results, answer.bundle_id);
  return answer;
}

function similarItems(item, fields, signal) {
  return request(`v1/items/${encodeURIComponent(item.item_id)}/similar?${fields}`, { signal });
}

function itemsLikePhoto({ file, box }, fields, signal) {
  const body = new FormData();
  body.append("image", file, file.name || "photo");
  if (box) fields.append("box", box);
  for (const [name, value] of fields) body.append(name, value);
  return request("v1/search", { method: "POST", body, signal });
}
