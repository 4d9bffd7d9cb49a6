#!/usr/bin/env bash
# Fetch, through GitHub's API, what a change is against, where git has no way to it. A container with a
# token and the network, which gets neither the workspace nor a model; it only writes files. Ends with 0
# whatever comes out: without a base every finding counts as new.
#
# Reads: NPUGATE_STATE (the folder of list-models.sh), NPUGATE_BASE, INPUT_IMAGE, GITHUB_TOKEN, GITHUB_*,
# NPUGATE_RELEASED_IMAGE (of action.yml)
set -uo pipefail

state=${NPUGATE_STATE:?}
fetched=$state/fetched
mkdir -p "$fetched"

give_up() {
  echo "::notice title=npugate::the commit to compare with is not available: $1"
  exit 0
}

# shellcheck source-path=SCRIPTDIR source=engine.sh
source "$(dirname "${BASH_SOURCE[0]}")/engine.sh"
choose_engine
choose_image

run=(
  "$engine" run --rm --cap-drop ALL --security-opt no-new-privileges --read-only
  --tmpfs '/tmp:rw,nosuid,nodev,noexec,size=16m' --pids-limit 64
  --user "$(id -u):$(id -g)"
  --mount "type=bind,source=$state/listed,target=$state/listed,readonly"
  --mount "type=bind,source=$fetched,target=$fetched"
  --workdir /tmp
  --env HOME=/tmp
  --env "NPUGATE_LISTED=$state/listed" --env "NPUGATE_FETCHED=$fetched" --env NPUGATE_BASE
  --env "NPUGATE_HEAD=$(cat "$state/listed/commit" 2>/dev/null)"
  # By name only: the value is on no command line.
  --env GITHUB_TOKEN
  --env GITHUB_API_URL --env GITHUB_REPOSITORY --env GITHUB_SHA
  --env GITHUB_EVENT_NAME --env GITHUB_ACTIONS --env CI
  --env HTTPS_PROXY --env https_proxy --env HTTP_PROXY --env http_proxy
  --env NO_PROXY --env no_proxy
)
[[ $engine = docker || $(id -u) = 0 ]] || run+=(--userns keep-id)
if [[ -f ${GITHUB_EVENT_PATH-} ]]; then
  run+=(
    --mount "type=bind,source=$GITHUB_EVENT_PATH,target=$GITHUB_EVENT_PATH,readonly"
    --env GITHUB_EVENT_PATH
  )
fi

timeout --kill-after=10 420 "${run[@]}" "$image" base ||
  give_up "the container ended with status $?"

# These names were written when the settings were whole.
[[ -f $fetched/same && ! -L $fetched/same ]] || exit 0
cd "${GITHUB_WORKSPACE:?}" || give_up 'there is no workspace'
while IFS= read -r -d '' path; do # settings that the base has as the checkout has them
  [[ ! /$path/ = */../* && $path != /* ]] || continue
  mkdir -p "$fetched/settings/$(dirname "./$path")"
  git -c safe.directory='*' cat-file blob "HEAD:$path" >"$fetched/settings/$path" ||
    give_up "git cannot read $path"
done <"$fetched/same"
mv "$fetched/settings" "$state/"
# The list of changes was written last: where it is, the rest is whole.
[[ -f $fetched/changes && ! -L $fetched/changes ]] || exit 0
mv "$fetched/base" "$fetched/changes" "$state/"
