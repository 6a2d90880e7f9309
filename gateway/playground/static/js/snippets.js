// A call as code to copy. The address is this server's; the key is never written out.

export const LANGUAGES = { curl: "curl", python: "Python", javascript: "JavaScript" };

export function snippetOf(call, language) {
  const write = { curl: asCurl, python: asPython, javascript: asJavaScript }[language];
  return write({ ...call, url: location.origin + call.path, hasKey: Boolean(sessionStorage.getItem("retouch.api_key")) });
}

const shellQuoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
const fileName = (file) => file.name || "picture.png";
const pretty = (json) => JSON.stringify(json, null, 2);

function asCurl({ method, url, json, file, fields, saveAs, hasKey }) {
  const verb = method === "GET" || json !== undefined || file ? "" : `-X ${method} `;
  const lines = [`curl -s ${verb}${shellQuoted(url)}`];
  if (hasKey) lines.push('-H "Authorization: Bearer $RETOUCH_API_KEY"');
  if (json !== undefined) lines.push("-H 'Content-Type: application/json'", `-d ${shellQuoted(pretty(json))}`);
  if (file) lines.push(`-F ${shellQuoted(`file=@"${fileName(file).replace(/["\\]/g, "\\$&")}"`)}`);
  for (const [name, value] of Object.entries(fields || {})) lines.push(`-F ${shellQuoted(`${name}=${value}`)}`);
  if (saveAs) lines.push(`-o ${saveAs}`);
  return lines.join(" \\\n  ");
}

function asPython({ method, url, json, file, fields, saveAs, hasKey }) {
  const lines = [...(hasKey ? ["import os", ""] : []), "import httpx", ""];
  const given = [pythonValue(url)];
  if (hasKey) given.push('headers={"Authorization": f"Bearer {os.environ[\'RETOUCH_API_KEY\']}"}');
  if (json !== undefined) given.push(`json=${pythonValue(json, "    ")}`);
  if (file) given.push(`files={"file": open(${pythonValue(fileName(file))}, "rb")}`);
  if (file && Object.keys(fields || {}).length) given.push(`data=${pythonValue(fields, "    ")}`);
  given.push("timeout=60");
  lines.push(`answer = httpx.${method.toLowerCase()}(`, ...given.map((part) => `    ${part},`), ")", "answer.raise_for_status()");
  lines.push(saveAs ? `open("${saveAs}", "wb").write(answer.content)` : "print(answer.json())");
  return lines.join("\n");
}

/** For Node as it is (an ES module); in a browser without the key, the file and the saving too. */
function asJavaScript({ method, url, json, file, fields, saveAs, hasKey }) {
  const imports = [];
  const lines = [];
  const headers = [];
  if (hasKey) headers.push("Authorization: `Bearer ${process.env.RETOUCH_API_KEY}`");
  if (json !== undefined) headers.push('"Content-Type": "application/json"');
  if (file) {
    const name = JSON.stringify(fileName(file));
    imports.push("openAsBlob");
    lines.push("const body = new FormData();", "// In a browser: a File, from an input or a drop.", `body.append("file", await openAsBlob(${name}), ${name});`);
    for (const [field, value] of Object.entries(fields || {})) lines.push(`body.append(${JSON.stringify(field)}, ${JSON.stringify(value)});`);
  }
  lines.push(`const answer = await fetch(${JSON.stringify(url)}, {`, `  method: "${method}",`);
  if (headers.length) lines.push(`  headers: { ${headers.join(", ")} },`);
  if (json !== undefined) lines.push(`  body: JSON.stringify(${pretty(json).replaceAll("\n", "\n  ")}),`);
  if (file) lines.push("  body,");
  lines.push("});", "if (!answer.ok) throw new Error((await answer.json()).detail);");
  if (saveAs) imports.push("writeFileSync");
  lines.push(saveAs ? `writeFileSync("${saveAs}", Buffer.from(await answer.arrayBuffer()));` : "console.log(JSON.stringify(await answer.json(), null, 2));");
  return [...(imports.length ? [`import { ${imports.join(", ")} } from "node:fs";`, ""] : []), ...lines].join("\n");
}

/** JSON with Python's words for true, false and null; objects over lines where an indent is given. */
function pythonValue(value, indent = null) {
  if (value === true) return "True";
  if (value === false) return "False";
  if (value === null) return "None";
  if (Array.isArray(value)) return `[${value.map((one) => pythonValue(one)).join(", ")}]`;
  if (typeof value !== "object") return JSON.stringify(value);
  const parts = Object.entries(value).map(([name, part]) => `${JSON.stringify(name)}: ${pythonValue(part)}`);
  if (indent === null) return `{${parts.join(", ")}}`;
  return `{\n${parts.map((part) => `${indent}    ${part},\n`).join("")}${indent}}`;
}
