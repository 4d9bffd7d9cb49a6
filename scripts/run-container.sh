#!/usr/bin/env bash
# Check the models in a container that can reach nothing: no network, no capability, no token, no
# engine's socket, a file system that it cannot write to, and of the environment only what is named
# here. Ends with 0 whatever comes out: the gate is a later step, after the uploads.
#
# Reads: INPUT_* (the action's inputs), NPUGATE_STATE (the folder of list-models.sh), GITHUB_*,
# NPUGATE_RELEASED_IMAGE, NPUGATE_ACTION_REPOSITORY and NPUGATE_ACTION_REF (of action.yml)
# Every value stays in a variable; no text from a model, a path or an input becomes shell.
set -uo pipefail

state=${NPUGATE_STATE:?} workspace=${GITHUB_WORKSPACE:?}
out=$state/out
mkdir -p "$out"

give_up() {
  echo "::error title=npugate::$1"
  printf 'verdict=error\nexit-code=3\n' >>"${GITHUB_OUTPUT:?}"
  exit 0
}

# shellcheck source-path=SCRIPTDIR source=engine.sh
source "$(dirname "${BASH_SOURCE[0]}")/engine.sh"
choose_engine
action_source

# ST's compiler, where it was asked for and this runner has it: its folder is shown read-only, and
# programs may run from /tmp, where it unpacks itself. It needs more of a system than our image has, so
# the build stage is run, a plain Debian. Everything else stays as closed as it was.
temporary='/tmp:rw,nosuid,nodev,noexec,size=256m'
compiler=() program=(action)
stedgeai=${INPUT_STEDGEAI:-off}
if [[ $stedgeai = docker://* || $stedgeai = cloud ]]; then
  give_up 'the input stedgeai takes auto, off or a path; docker://... and cloud are for the command line'
elif [[ $stedgeai != off ]]; then
  tool=$stedgeai
  [[ $stedgeai != auto ]] || tool=$(command -v stedgeai || echo "${STEDGEAI_CORE_DIR-}")
  if [[ -n $tool && -e $tool ]]; then
    stedgeai=$(realpath -- "$tool")
    root=$stedgeai
    [[ -d $root ]] || root=$(dirname -- "$root")
    [[ $root != */Utilities/* ]] || root=${root%/Utilities/*}
    temporary='/tmp:rw,nosuid,nodev,exec,size=4g'
    compiler=(--mount "type=bind,source=$root,target=$root,readonly")
  elif [[ $stedgeai != auto ]]; then
    give_up 'the input stedgeai names no file or folder of this runner'
  fi
fi

if [[ -z ${INPUT_IMAGE-} && ${#compiler[@]} -gt 0 ]]; then
  build_image npugate-action-build --target build
  compiler+=(--entrypoint /opt/venv/bin/python)
  program=(-I /src/entrypoint.py action)
else
  choose_image
fi

# For the step that comments. The container below sees this folder, but may not write to it.
printf '%s\n' "$engine" >"$state/engine"
printf '%s\n' "$image" >"$state/image"

run=(
  "$engine" run --rm --network none --cap-drop ALL --security-opt no-new-privileges --read-only
  --tmpfs "$temporary" --pids-limit 1024
  # The workspace and the files that come out belong to this user, who may delete them again.
  --user "$(id -u):$(id -g)"
  # The same paths inside and outside, so that none has to be translated.
  --mount "type=bind,source=$workspace,target=$workspace,readonly"
  --mount "type=bind,source=$state,target=$state,readonly"
  --mount "type=bind,source=$out,target=$out"
  --workdir "$workspace"
  --env HOME=/tmp
  --env "NPUGATE_FOLDER=$out/npugate-report"
  --env "GITHUB_OUTPUT=$out/output" --env "GITHUB_STEP_SUMMARY=$out/summary.md"
  # Of these the page and the comment make links to source lines.
  --env GITHUB_SERVER_URL --env GITHUB_REPOSITORY --env GITHUB_SHA
  # And of these to the pages about the rules.
  --env "GITHUB_ACTION_REPOSITORY=$action_repository" --env "GITHUB_ACTION_REF=$action_ref"
  --env GITHUB_WORKSPACE --env GITHUB_EVENT_NAME --env GITHUB_ACTIONS --env CI --env RUNNER_DEBUG
  --env INPUT_MODELS --env INPUT_TARGET --env INPUT_TOOLCHAIN --env INPUT_BOARD
  --env INPUT_CONFIG
  --env INPUT_CONFIG_FROM --env INPUT_FAIL_ON --env INPUT_CHANGED_ONLY --env INPUT_NEW_ONLY
  --env INPUT_MAY_LEAVE
  --env INPUT_REPORTS --env INPUT_SARIF
  --env INPUT_COMMENT --env INPUT_FILE_COMMENTS
  --env INPUT_ARTIFACT --env INPUT_FIX --env INPUT_NAME --env INPUT_IMAGE
  --env "INPUT_STEDGEAI=$stedgeai" --env INPUT_STEDGEAI_PROFILE --env INPUT_STEDGEAI_ACCEPT_LICENSE
  ${compiler[@]+"${compiler[@]}"}
)
# Without root, podman would otherwise map this user to root inside.
[[ $engine = docker || $(id -u) = 0 ]] || run+=(--userns keep-id)
if [[ -f ${GITHUB_EVENT_PATH-} ]]; then
  run+=(
    --mount "type=bind,source=$GITHUB_EVENT_PATH,target=$GITHUB_EVENT_PATH,readonly"
    --env GITHUB_EVENT_PATH
  )
fi
# git's own folder holds the credentials of the checkout: something empty lies over each.
mkdir -p "$state/nothing"
: >"$state/nothing-at-all"
while IFS= read -r -d '' place; do
  [[ $place != *[,\"[:cntrl:]]* ]] || give_up 'the path of a .git in the workspace has characters that no engine takes, so it cannot be hidden from the models'
  nothing=$state/nothing
  [[ -d $place ]] || nothing=$state/nothing-at-all
  run+=(--mount "type=bind,source=$nothing,target=$place,readonly")
done <"$state/masked"
[[ ! -e $state/index ]] || run+=(--env "NPUGATE_INDEX=$state/index")
[[ ! -e $state/tracked ]] || run+=(--env "NPUGATE_TRACKED=$state/tracked")
[[ ! -e $state/changes ]] || run+=(--env "NPUGATE_CHANGES=$state/changes")
[[ ! -d $state/base ]] || run+=(--env "NPUGATE_BASE_FOLDER=$state/base")
[[ ! -d $state/settings ]] || run+=(--env "NPUGATE_SETTINGS=$state/settings")

# What comes out was written by a program that has read models which nobody vetted: known keys with
# values of their kind only, and no path but to a file below the folder of the reports.
reports=$out/npugate-report
distrust() { give_up "the container's output cannot be trusted: $1"; }

is_its_kind() { # KEY VALUE
  case $1 in
    verdict) [[ $2 =~ ^(pass|fail|error)$ ]] ;;
    exit-code) [[ $2 =~ ^[0-3]$ ]] ;;
    models | failed | errors | warnings | notes | repaired) [[ $2 =~ ^[0-9]{0,9}$ ]] ;;
    folder) [[ -z $2 || $2 = "$reports" ]] ;;
    json | sarif | junit | markdown)
      [[ -z $2 ]] || [[ $2 = "$reports"/* && ${2#"$reports"/} =~ ^[A-Za-z0-9_][A-Za-z0-9._-]*$ && -f $2 ]]
      ;;
    *) false ;;
  esac
}

read_output() { # sets value, by key
  local LC_ALL=C key end text line size
  size=$(stat -c %s -- "$out/output")
  ((size <= 65536)) || distrust 'it is too long'
  [[ $(tr -d '\0' <"$out/output" | wc -c) -eq $size ]] || distrust 'it holds a NUL'
  while IFS= read -r line; do
    [[ $line =~ ^([a-z-]+)'<<'(npugate-[0-9a-f]{32})$ ]] || distrust 'a line is no key'
    key=${BASH_REMATCH[1]} end=${BASH_REMATCH[2]}
    IFS= read -r text && IFS= read -r line && [[ $line = "$end" ]] || distrust "$key has no end"
    [[ -z ${value[$key]+set} ]] || distrust "$key is given twice"
    is_its_kind "$key" "$text" || distrust "$key is not what it can be"
    value[$key]=$text
  done <"$out/output"
  case ${value[verdict]-}${value[exit-code]-} in
    pass0 | fail1 | error[23]) ;;
    *) distrust 'verdict and exit code disagree' ;;
  esac
}

"${run[@]}" "$image" "${program[@]}"
code=$?
# A link would have the next steps read, and publish, a file of the runner.
odd=$(find "$out" ! -type f ! -type d -print -quit) || distrust 'its folder cannot be read'
[[ -z $odd ]] || distrust 'it left something that is neither file nor folder'
[[ -f $out/output && -s $out/output ]] || give_up "the container ended with status $code and said nothing"
[[ ! -d $out/summary.md ]] || distrust 'its summary is a folder'
declare -A value=()
read_output
mark=npugate-$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
for key in "${!value[@]}"; do
  printf '%s<<%s\n%s\n%s\n' "$key" "$mark" "${value[$key]}" "$mark"
done >>"${GITHUB_OUTPUT:?}"
if [[ -s $out/summary.md ]]; then
  head -c 1048576 -- "$out/summary.md" >>"${GITHUB_STEP_SUMMARY:?}"
fi
