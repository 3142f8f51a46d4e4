// Reads a JSON array of Kubernetes objects and checks each against the schema of its apiVersion and kind, from npm's
// kubernetes-models in the working directory; says what is wrong.
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const models = `${process.cwd()}/node_modules/kubernetes-models`;
for (const object of JSON.parse(readFileSync(0, "utf8"))) {
  const kinds = await import(pathToFileURL(`${models}/${object.apiVersion}/index.js`));
  try {
    new kinds[object.kind](object).validate();
  } catch (error) {
    console.log(`${object.kind}: ${error.message}`);
    process.exitCode = 1;
  }
}
