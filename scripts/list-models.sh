#!/usr/bin/env bash
# List, where there is git, what the container without git needs to know: the models that git tracks,
# and what the event changed. Writes both to a new folder and tells the later steps where.
#
# Where git has no way to the commit to compare with, it tells the next step to ask GitHub's API
# (output base), and leaves it what git says of the checkout.
#
# Reads: NPUGATE_CHANGED_ONLY, NPUGATE_BASE (the commit the event is against; may be empty),
#        NPUGATE_RELEASED_IMAGE (handed on to the steps that run it),
#        GITHUB_EVENT_NAME, GITHUB_OUTPUT, GITHUB_SHA, GITHUB_WORKSPACE, RUNNER_TEMP
set -euo pipefail

state=$(mktemp -d "${RUNNER_TEMP:?}/npugate.XXXXXX")
printf 'state=%s\nreleased-image=%s\n' "$state" "${NPUGATE_RELEASED_IMAGE-}" >>"${GITHUB_OUTPUT:?}"
cd "${GITHUB_WORKSPACE:?}"
bash "$(dirname "${BASH_SOURCE[0]}")/list-tracked.sh" "$state"

# The checkout may be a stranger's: nothing that its configuration names is started.
git() {
  command git --no-pager -c core.fsmonitor=false -c core.hooksPath=/dev/null \
    -c core.quotePath=false -c safe.directory='*' "$@"
}

# A pull request is compared with its base whatever is checked of it.
wanted() {
  [[ ${NPUGATE_CHANGED_ONLY,,} = true ||
    ${GITHUB_EVENT_NAME-} =~ ^(pull_request|pull_request_target|merge_group)$ ]]
}

have() { git cat-file -e "$1^{commit}" 2>/dev/null; }

obtain() { # COMMIT: fetch it where the checkout is too shallow to hold it
  [[ $1 =~ ^[0-9a-f]{40,64}$ && ! $1 =~ ^0+$ ]] || return 1
  have "$1" ||
    GIT_TERMINAL_PROMPT=0 git fetch --quiet --no-tags --depth=1 origin "$1" 2>/dev/null ||
    return 1
}

base() { # print the commit to compare with
  local head parents
  head=$(git rev-parse --verify --quiet HEAD) || return 1
  if [[ ${GITHUB_EVENT_NAME-} = pull_request && $head = "${GITHUB_SHA-}" ]]; then
    # The merge that GitHub tests: its first parent is the base branch as it was merged with.
    read -r -a parents < <(git cat-file commit HEAD | sed -n '/^$/q; s/^parent //p' | tr '\n' ' ')
    if ((${#parents[@]} == 2)) && obtain "${parents[0]}"; then
      echo "${parents[0]}"
      return
    fi
  fi
  obtain "${NPUGATE_BASE-}" || return 1
  # Equal commits say that the change is not what is checked out: look at everything then.
  [[ $(git rev-parse "$NPUGATE_BASE^{commit}") != "$head" ]] || return 1
  git merge-base "$NPUGATE_BASE" HEAD 2>/dev/null || echo "$NPUGATE_BASE"
}

# Put the changed models as the base has them below a folder: blobs, unfiltered. The files that hold a
# model's weights get their length only, for a check looks at no more of external data.
keep_base() { # COMMIT
  local status path
  mkdir "$state/base"
  cp "$state/changes" "$state/base/.changes"
  git ls-tree -r -l -z "$1" >"$state/tree"
  declare -A near=()
  while IFS= read -r -d '' status; do
    IFS= read -r -d '' path
    case $status in
      R* | C*) IFS= read -r -d '' _ ;; # the old name came first
      A*) continue ;;
    esac
    if [[ ${path,,} = *.onnx ]]; then
      keep_model "$1" "$path"
    else
      # Weights lie below the folder of their model.
      while [[ $path = */* ]]; do path=${path%/*} near[$path]=1; done
      near[.]=1
    fi
  done <"$state/changes"
  while IFS=$'\t' read -r -d '' _ path; do
    [[ ${path,,} = *.onnx && ${near[$(dirname "./$path" | sed 's,^\./,,')]-} ]] || continue
    keep_model "$1" "$path"
  done <"$state/tree"
}

keep_model() { # COMMIT PATH
  local folder name size place=$state/base/$2
  [[ ! /$2/ = */../* && ! -e $place ]] || return 0
  folder=$(dirname "./$2")/ folder=${folder#./}
  mkdir -p "$state/base/$folder"
  git cat-file blob "$1:$2" >"$place" 2>/dev/null || {
    rm -f "$place"
    return 0
  }
  # The names of the files beside it that occur in the model.
  below "$folder" | LC_ALL=C grep -aoFf - -- "$place" | LC_ALL=C sort -u |
    while IFS= read -r name; do
      [[ ! -e $state/base/$folder$name && ! /$name/ = */../* ]] || continue
      size=$(length "$1:$folder$name") || continue
      mkdir -p "$(dirname "$state/base/$folder$name")"
      truncate -s "$size" "$state/base/$folder$name"
    done || true # none occurs
}

below() { # FOLDER: the other files of the base below it, from there
  local path
  while IFS=$'\t' read -r -d '' _ path; do
    [[ $path = "$1"* && ${path,,} != *.onnx && $path != *$'\n'* ]] && printf '%s\n' "${path#"$1"}"
  done <"$state/tree"
}

length() { # BLOB: its bytes; those of the file that it stands for when it is a Git LFS pointer
  local size
  size=$(git cat-file -s "$1" 2>/dev/null) || return 1
  if ((size < 1024)) && [[ $(git cat-file blob "$1" | head -c 42 | tr -d '\0') = 'version https://git-lfs.github.com/spec/v1' ]]; then
    size=$(git cat-file blob "$1" | sed -n 's/^size \([0-9]\{1,15\}\)$/\1/p')
  fi
  [[ $size ]] && echo "$size"
}

# Put what may judge the models, as the base has it, below a folder: a configuration, and the baseline
# and target files that it may name.
keep_settings() { # COMMIT
  local mode kind object size path count=0
  mkdir "$state/settings"
  : >"$state/settings/.none.toml"
  while IFS=$'\t' read -r -d '' mode path; do
    read -r mode kind object size <<<"$mode"
    [[ ${path,,} =~ \.(toml|json|mpool)$ && ! /$path/ = */../* && $kind = blob && $mode = 100* ]] || continue
    ((size <= 1048576 && ++count <= 1000)) || continue
    mkdir -p "$state/settings/$(dirname "./$path")"
    git cat-file blob "$object" >"$state/settings/$path"
  done < <(git ls-tree -r -l -z "$1")
}

ask_the_api() { # leave the next step what git says of the checkout
  mkdir "$state/listed"
  if git rev-parse --verify --quiet HEAD >"$state/listed/commit" 2>/dev/null; then
    git ls-tree -r -l -z HEAD >"$state/listed/head"
    {
      git diff --no-ext-diff --no-textconv --no-renames --name-only -z HEAD --
      git ls-files -z --others -- ':(icase)*.onnx'
    } >"$state/listed/touched"
    git diff --no-ext-diff --no-textconv --no-renames --diff-filter=D --name-only -z HEAD -- \
      >"$state/listed/deleted"
  fi
  printf 'base=missing\n' >>"$GITHUB_OUTPUT"
}

if ! git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
  echo "the workspace is no git checkout: the folders are searched instead"
  # Without git, actions/checkout takes the files from the API; without that step there is nothing.
  if wanted && [[ -n $(ls -A) ]]; then ask_the_api; fi
  exit 0
fi
git ls-files -z -- ':(icase)*.onnx' >"$state/tracked"
if wanted; then
  if commit=$(base); then
    {
      git diff --no-ext-diff --no-textconv --name-status -z -M "$commit" --
      # What git does not track was made by this workflow, and so is new.
      git ls-files -z --others -- ':(icase)*.onnx' | while IFS= read -r -d '' path; do
        printf 'A\0%s\0' "$path"
      done
    } >"$state/changes.part"
    mv "$state/changes.part" "$state/changes"
    keep_base "$commit"
    keep_settings "$commit"
    echo "compared with $commit"
  else
    ask_the_api
  fi
fi
