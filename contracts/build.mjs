// Compiles src/*.sol into artifacts/*.json, byte for byte the same on every machine.
// `--check` writes nothing and fails when a committed artifact differs from its source.

import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import solc from "solc";

const here = dirname(fileURLToPath(import.meta.url));
const sources = join(here, "src");
const artifacts = join(here, "artifacts");
const check = process.argv.includes("--check");

const settings = {
  optimizer: { enabled: true, runs: 200 },
  evmVersion: "cancun",
  // Without these the bytecode would carry a hash of the sources' paths and comments.
  metadata: { bytecodeHash: "none", appendCBOR: false },
  outputSelection: { "*": { "*": ["abi", "evm.bytecode.object", "evm.deployedBytecode.object"] } },
};

function compile() {
  const names = readdirSync(sources).filter((name) => name.endsWith(".sol")).sort();
  const input = {
    language: "Solidity",
    sources: Object.fromEntries(
      names.map((name) => [`src/${name}`, { content: readFileSync(join(sources, name), "utf8") }]),
    ),
    settings,
  };
  const find = (path) => {
    try {
      return { contents: readFileSync(join(here, "node_modules", path), "utf8") };
    } catch {
      return { error: `${path} is not installed: run npm ci in contracts` };
    }
  };
  const output = JSON.parse(solc.compile(JSON.stringify(input), { import: find }));
  const complaints = output.errors ?? [];
  for (const complaint of complaints) console.error(complaint.formattedMessage);
  if (complaints.length > 0) process.exit(1);

  const files = new Map();
  for (const name of names) {
    for (const [contractName, made] of Object.entries(output.contracts[`src/${name}`])) {
      // Interfaces have no code and need no artifact.
      if (made.evm.bytecode.object === "") continue;
      const artifact = {
        contractName,
        compiler: { name: "solc", version: solc.version(), settings: { ...settings, outputSelection: undefined } },
        abi: made.abi,
        bytecode: { object: `0x${made.evm.bytecode.object}` },
        deployedBytecode: { object: `0x${made.evm.deployedBytecode.object}` },
      };
      files.set(`${contractName}.json`, `${JSON.stringify(artifact, null, 2)}\n`);
    }
  }
  return files;
}

function committed() {
  try {
    return readdirSync(artifacts);
  } catch {
    return [];
  }
}

const built = compile();
const stray = committed().filter((name) => !built.has(name));

if (check) {
  const stale = [...built].filter(([name, text]) => {
    try {
      return readFileSync(join(artifacts, name), "utf8") !== text;
    } catch {
      return true;
    }
  });
  const wrong = [...stale.map(([name]) => name), ...stray];
  if (wrong.length > 0) {
    console.error(`artifacts differ from their sources: ${wrong.join(", ")}. Run node build.mjs and commit them.`);
    process.exit(1);
  }
  console.log(`${built.size} artifacts match their sources`);
} else {
  mkdirSync(artifacts, { recursive: true });
  for (const name of stray) rmSync(join(artifacts, name));
  for (const [name, text] of built) writeFileSync(join(artifacts, name), text);
  console.log(`wrote ${built.size} artifacts: ${[...built.keys()].join(", ")}`);
}
