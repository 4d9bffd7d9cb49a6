#!/usr/bin/env bash
# Comment on the pull request: the only container of the action with a token and the network. It gets
# the reports, read-only, and no workspace and no model. Ends with 0 whatever comes out.
#
# Reads: INPUT_COMMENT, INPUT_FILE_COMMENTS, INPUT_NAME, GITHUB_TOKEN, NPUGATE_ARTIFACT_URL,
# NPUGATE_STATE (engine and image, as run-container.sh left them there), INPUT_IMAGE, GITHUB_*,
# NPUGATE_ACTION_REPOSITORY and NPUGATE_ACTION_REF (of action.yml)
set -uo pipefail

state=${NPUGATE_STATE:?}

give_up() {
  echo "::notice title=npugate::no comment on the pull request: $1"
  exit 0
}

# Both lie outside of what the container of the check could write to.
[[ -s $state/engine && -s $state/image ]] || give_up 'the check found no container to run'
engine=$(<"$state/engine") image=$(<"$state/image")
# shellcheck source-path=SCRIPTDIR source=engine.sh
source "$(dirname "${BASH_SOURCE[0]}")/engine.sh"
action_source
[[ -f ${GITHUB_EVENT_PATH-} ]] || give_up 'there is no file with the event'
mkdir -p "$state/out"

run=(
  "$engine" run --rm --cap-drop ALL --security-opt no-new-privileges --read-only
  --tmpfs '/tmp:rw,nosuid,nodev,noexec,size=16m' --pids-limit 64
  --user "$(id -u):$(id -g)"
  --mount "type=bind,source=$state/out,target=$state/out,readonly"
  --mount "type=bind,source=$GITHUB_EVENT_PATH,target=$GITHUB_EVENT_PATH,readonly"
  --workdir /tmp
  --env HOME=/tmp
  --env "NPUGATE_REPORT=$state/out/npugate-report/npugate.json" --env NPUGATE_ARTIFACT_URL
  --env INPUT_COMMENT --env INPUT_FILE_COMMENTS --env INPUT_NAME
  # By name only: the value is on no command line.
  --env GITHUB_TOKEN
  --env GITHUB_API_URL --env GITHUB_SERVER_URL --env GITHUB_REPOSITORY --env GITHUB_SHA
  # Where the pages about the rules are; the report, which others wrote, is not asked for it.
  --env "GITHUB_ACTION_REPOSITORY=$action_repository" --env "GITHUB_ACTION_REF=$action_ref"
  --env INPUT_IMAGE
  --env GITHUB_RUN_ID --env GITHUB_RUN_ATTEMPT --env GITHUB_EVENT_NAME --env GITHUB_EVENT_PATH
  --env GITHUB_ACTIONS --env CI
  --env HTTPS_PROXY --env https_proxy --env HTTP_PROXY --env http_proxy
  --env NO_PROXY --env no_proxy
)
[[ $engine = docker || $(id -u) = 0 ]] || run+=(--userns keep-id)

timeout --kill-after=10 420 "${run[@]}" "$image" comment ||
  give_up "the container ended with status $?"
