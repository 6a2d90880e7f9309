// A call as code to copy. The address is this server's; the key is never written out.

export const LANGUAGES = { curl: "curl", python: "Python", javascript: "JavaScript" };

export function snippetOf(call, language) {
  const write = { curl: asCurl, python: asPython, javascript: asJavaScript }[language];
  return write({ ...call, url: location.origin + call.path, hasKey: Boolean(sessionStorage.getItem("retouch.api_key")) });
}

const shellQuoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
const fileName = (file) => file.name || "picture.png";

function asCurl({ method, url, json, file, fields, hasKey }) {
  const lines = [`curl -s ${method === "GET" ? "" : `-X ${method} `}${shellQuoted(url)}`];
  if (hasKey) lines.push('-H "Authorization: Bearer $RETOUCH_API_KEY"');
  if (json !== undefined) {
    lines.push("-H 'Content-Type: application/json'", `-d ${shellQuoted(JSON.stringify(json))}`);
  }
  if (file) lines.push(`-F ${shellQuoted(`file=@${fileName(file)}`)}`);
  for (const [name, value] of Object.entries(fields || {})) lines.push(`-F ${shellQuoted(`${name}=${value}`)}`);
  return lines.join(" \\\n  ");
}

function asPython({ method, url, json, file, fields, hasKey }) {
  const lines = [...(hasKey ? ["import os"] : []), "import httpx", ""];
  const given = [pythonValue(url)];
  if (hasKey) given.push('headers={"Authorization": f"Bearer {os.environ[\'RETOUCH_API_KEY\']}"}');
  if (json !== undefined) given.push(`json=${pythonValue(json)}`);
  if (file) given.push(`files={"file": open(${pythonValue(fileName(file))}, "rb")}`);
  if (file && Object.keys(fields || {}).length) given.push(`data=${pythonValue(fields)}`);
  given.push("timeout=60");
  lines.push(`answer = httpx.${method.toLowerCase()}(`, ...given.map((part) => `    ${part},`), ")");
  lines.push("answer.raise_for_status()", "print(answer.json())");
  return lines.join("\n");
}

function asJavaScript({ method, url, json, file, fields, hasKey }) {
  const lines = [];
  const headers = [];
  if (hasKey) headers.push("Authorization: `Bearer ${process.env.RETOUCH_API_KEY}`");
  if (json !== undefined) headers.push('"Content-Type": "application/json"');
  if (file) {
    lines.push("const body = new FormData();", `body.append("file", file, ${JSON.stringify(fileName(file))}); // a File or Blob`);
    for (const [name, value] of Object.entries(fields || {})) lines.push(`body.append(${JSON.stringify(name)}, ${JSON.stringify(value)});`);
  }
  lines.push(`const answer = await fetch(${JSON.stringify(url)}, {`, `  method: "${method}",`);
  if (headers.length) lines.push(`  headers: { ${headers.join(", ")} },`);
  if (json !== undefined) lines.push(`  body: JSON.stringify(${JSON.stringify(json)}),`);
  if (file) lines.push("  body,");
  lines.push("});", "if (!answer.ok) throw new Error((await answer.json()).detail);", "console.log(await answer.json());");
  return lines.join("\n");
}

/** JSON with Python's words for true, false and null. */
function pythonValue(value) {
  if (value === true) return "True";
  if (value === false) return "False";
  if (value === null) return "None";
  if (Array.isArray(value)) return `[${value.map(pythonValue).join(", ")}]`;
  if (typeof value === "object") {
    return `{${Object.entries(value).map(([name, part]) => `${JSON.stringify(name)}: ${pythonValue(part)}`).join(", ")}}`;
  }
  return JSON.stringify(value);
}
