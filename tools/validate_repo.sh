#!/usr/bin/env bash
# Run the linters and schemas that the files of this repository are meant for; `make validate` calls
# it with the folder of the programs that requirements/validate.lock brings.
#
#   tools/validate_repo.sh BIN
#
# Runs every check, says what it skipped and why, and fails when one failed.
set -uo pipefail

bin=$(realpath "${1:?the folder of the programs, such as .venv-validate/bin}")
cd "$(dirname "$0")/.." || exit 1
share=$bin/../share/npugate
mkdir -p "$share"
failed=() skipped=()

check() { # NAME COMMAND...
  local name=$1
  shift
  echo "== $name"
  "$@" || failed+=("$name")
}

mapfile -t workflows < <(find .github/workflows -name '*.yml' | sort)
mapfile -t forms < <(find .github/ISSUE_TEMPLATE -name '*.yml' ! -name config.yml | sort)
mapfile -t scripts < <(find scripts tools .ci -type f \( -name '*.sh' -o -name run \) | sort)
mapfile -t yamls < <(git ls-files '*.yml' '*.yaml' | sort)
mapfile -t reports < <(find tests/fixtures/snapshots -name '*.json' -o -name '*.sarif' -o -name '*.xml' | sort)

check actionlint "$bin/actionlint" -shellcheck "$bin/shellcheck"
check 'workflow schema' "$bin/check-jsonschema" --builtin-schema vendor.github-workflows "${workflows[@]}"
check 'action schema' "$bin/check-jsonschema" --builtin-schema vendor.github-actions action.yml docker/action.yml
check 'dependabot schema' "$bin/check-jsonschema" --builtin-schema vendor.dependabot .github/dependabot.yml
check 'issue forms' "$bin/check-jsonschema" --builtin-schema vendor.github-issue-forms "${forms[@]}"
check 'issue forms, list' "$bin/check-jsonschema" --builtin-schema vendor.github-issue-config .github/ISSUE_TEMPLATE/config.yml
for service in gitlab-ci azure-pipelines bitbucket-pipelines; do
  # Their patterns are those of JavaScript without the flag u.
  check "$service schema" "$bin/check-jsonschema" --regex-variant nonunicode --builtin-schema "vendor.$service" "examples/ci/$service.yml"
done
check zizmor "$bin/zizmor" --offline --quiet --persona pedantic .
check 'act, strict' "$bin/act" --validate --strict
check hadolint "$bin/hadolint" --config .hadolint.yaml Dockerfile
check shellcheck "$bin/shellcheck" "${scripts[@]}"
check yamllint "$bin/yamllint" --strict --config-file .yamllint.yaml "${yamls[@]}"

# --- reports, with the validators that their readers trust ---------------------------------------
options=()
xsd=$share/junit-10.xsd
if [[ ! -e $xsd ]]; then
  # It is part of pytest's source distribution, and nowhere else in a package index.
  if "$bin/python" -m pip download --quiet --no-deps --no-binary pytest \
    --dest "$share" "$(sed -n 's/^\(pytest==[^ ]*\).*/\1/p' requirements/dev.lock)" 2>"$share/pip.log"; then
    tar --extract --to-stdout --file "$(find "$share" -name 'pytest-*.tar.gz' | head -1)" \
      --wildcards '*/testing/example_scripts/junit-10.xsd' >"$xsd.part" && mv "$xsd.part" "$xsd"
  fi
fi
if [[ -s $xsd ]]; then options+=(--junit-xsd "$xsd"); else skipped+=("JUnit's XSD: pytest's source could not be had ($share/pip.log)"); fi
multitool=$share/node_modules/@microsoft/sarif-multitool-linux/Sarif.Multitool
if [[ ! -e $multitool ]] && command -v npm >/dev/null; then
  npm install --silent --no-save --ignore-scripts --prefix "$share" \
    @microsoft/sarif-multitool-linux@5.7.0 >"$share/npm.log" 2>&1
fi
if [[ -e $multitool ]]; then
  chmod u+x "$multitool"
  options+=(--multitool "$multitool")
else
  skipped+=("SARIF multitool: npm is missing or could not fetch it ($share/npm.log)")
fi
check reports env DOTNET_SYSTEM_GLOBALIZATION_INVARIANT=1 \
  "$bin/python" tools/validate_reports.py "${options[@]}" "${reports[@]}"

for reason in "${skipped[@]}"; do echo "skipped: $reason"; done
if ((${#failed[@]})); then
  printf 'failed: %s\n' "${failed[@]}"
  exit 1
fi
echo "the repository's files are valid (${#skipped[@]} validators skipped)"
