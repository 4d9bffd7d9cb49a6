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
export LC_ALL=C # names are bytes

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

# Read what a commit holds: its files, and where its links lead.
declare -A link=()
read_tree() { # COMMIT
  local about path header target at=0
  local -a paths=() objects=()
  git ls-tree -r -l -z "$1" >"$state/tree"
  while IFS=$'\t' read -r -d '' about path; do
    [[ $about = 120000* ]] || continue
    paths+=("$path") about=${about#* * }
    objects+=("${about%% *}")
  done <"$state/tree"
  : >"$state/links"
  ((${#objects[@]})) || return 0
  printf '%s\n' "${objects[@]}" | git cat-file --batch >"$state/links"
  while IFS= read -r header; do
    if [[ $header = *' blob '* ]]; then
      target=
      IFS= read -r -N "${header##* }" target || true
      IFS= read -r _
      link[${paths[at]}]=$target
    fi
    at=$((at + 1))
  done <"$state/links"
}

follow() { # PATH: sets way, the links that were followed, and place, where they lead; fails for nowhere
  local rest=$1/ part
  place='' way=()
  while [[ -n $rest ]]; do
    part=${rest%%/*} rest=${rest#*/}
    case $part in
      '' | .) continue ;;
      ..)
        [[ -n $place ]] || return 1
        [[ $place = */* ]] && place=${place%/*} || place=
        continue
        ;;
    esac
    place=${place:+$place/}$part
    [[ -n ${link[$place]+set} ]] || continue
    way+=("$place")
    ((${#way[@]} <= 40)) && [[ ${link[$place]} != /* ]] || return 1
    rest=${link[$place]}/$rest
    [[ $place = */* ]] && place=${place%/*} || place=
  done
}

# Put the changed models as the base has them below a folder: blobs, unfiltered. The files that hold a
# model's weights get their length only, for a check looks at no more of external data. What the base
# holds is told beside them, so that what it does not hold is new.
declare -A put=()
keep_base() { # COMMIT
  local status path one other
  local -a way
  mkdir "$state/base"
  cp "$state/changes" "$state/base/.changes"
  cp "$state/tree" "$state/base/.tree"
  cp "$state/links" "$state/base/.links"
  : >"$state/names"
  declare -A near=() beside=() changed=()
  local -a attributes=() # folders below which a checkout makes other files of what git holds
  while IFS= read -r -d '' status; do
    IFS= read -r -d '' path
    changed[$path]=1
    [[ /$path != */.gitattributes ]] || attributes+=("${path%.gitattributes}")
    case $status in
      R* | C*) # the old name came first
        IFS= read -r -d '' one
        changed[$one]=1
        ;;
      A*) continue ;;
    esac
    one=$path
    if [[ ${path,,} = *.onnx ]]; then
      keep_model "$1" "$path"
      # A file of this name may hold the weights of another model, too.
      [[ $path = *$'\n'* ]] || printf '%s\n' "${path##*/}" >>"$state/names"
      while [[ $one = */* ]]; do one=${one%/*} beside[$one]=1; done
      beside[.]=1
    else
      # Weights lie below the folder of their model.
      while [[ $one = */* ]]; do one=${one%/*} near[$one]=1; done
      near[.]=1
    fi
  done <"$state/changes"
  keep_linked "$1"
  while IFS=$'\t' read -r -d '' _ path; do
    [[ ${path,,} = *.onnx && -z ${put[$path]-} ]] || continue
    [[ $path = */* ]] && one=${path%/*} || one=.
    for other in ${attributes[@]+"${attributes[@]}"}; do
      if [[ $path = "$other"* ]]; then near[$one]=1; fi
    done
    if [[ ${near[$one]-} ]] || { [[ ${beside[$one]-} ]] && names_one "$1:$path"; }; then
      keep_model "$1" "$path"
    fi
  done <"$state/tree"
}

names_one() { # BLOB: tell whether it holds one of the names
  git cat-file blob "$1" 2>/dev/null | LC_ALL=C grep -aqFf "$state/names"
}

keep_linked() { # COMMIT: the models behind links that lead elsewhere now, or to something that changed
  local from path one is_new
  for from in "${!link[@]}"; do
    follow "$from" || continue
    is_new=
    for one in "${way[@]}" "$place"; do
      if [[ -n $one && ${changed[$one]-} ]]; then is_new=1; fi
    done
    [[ $is_new ]] || continue
    if [[ ${from,,} = *.onnx ]]; then keep_model "$1" "$from"; fi
    one=$place
    while IFS= read -r -d '' path; do # of a folder
      if [[ ${path,,} = *.onnx ]]; then keep_model "$1" "${one:+$one/}$path"; fi
    done < <(git ls-tree -r -z --name-only "$1:$one" 2>/dev/null)
  done
}

keep_model() { # COMMIT PATH
  local folder name place file=$state/base/$2
  local -a way
  [[ ! /$2/ = */../* && ! $2 =~ ^\.(changes|tree|links)(/|$) && -z ${put[$2]-} ]] || return 0
  follow "$2" || return 0
  put[$2]=1
  [[ $2 = */* ]] && folder=${2%/*}/ || folder=
  mkdir -p "$state/base/$folder"
  rm -f -- "$file" # of the length of weights
  git cat-file blob "$1:$place" >"$file" 2>/dev/null || {
    rm -f -- "$file"
    return 0
  }
  # The names of the files below its folder that occur in the model, however it spells the way.
  below "$folder" |
    LC_ALL=C grep -aoFf - -- <(LC_ALL=C sed -E 's,/(\.?/)+,/,g' -- "$file") | LC_ALL=C sort -u |
    while IFS= read -r name; do
      stand_in "$1" "$folder$name"
    done || true # none occurs
}

stand_in() { # COMMIT PATH: a file as long as the one that it stands for; a link for a link
  local size file=$state/base/$2
  [[ ! /$2/ = */../* && ! -e $file && ! -L $file ]] || return 0
  if [[ ${link[$2]+set} ]]; then
    mkdir -p "${file%/*}"
    ln -s "${file##*/}" "$file"
    return
  fi
  size=$(length "$1:$2") || return 0
  mkdir -p "${file%/*}"
  truncate -s "$size" "$file"
}

below() { # FOLDER: the other files of the base below it, from there
  local path
  while IFS=$'\t' read -r -d '' _ path; do
    if [[ $path = "$1"* && $path != *$'\n'* ]]; then printf '%s\n' "${path#"$1"}"; fi
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
# and target files that it may name. A link is put as what it leads to.
keep_settings() { # COMMIT
  local from path
  local -a way
  mkdir "$state/settings"
  kept=0
  # The few that a gate begins with come first, so that no crowd of data can keep them out.
  keep_matching "$1" '(^|/)(npugate|pyproject)\.toml$' 1000
  keep_matching "$1" '\.(toml|mpool)$' 1000
  for from in "${!link[@]}"; do
    follow "$from" && [[ -n $place ]] || continue
    if [[ ${from,,} =~ $settings ]]; then keep_setting "$1:$place" "$from" 1500; fi
    while IFS= read -r -d '' path; do # of a folder
      if [[ ${path,,} =~ $settings ]]; then
        keep_setting "$1:$place/$path" "$from/$path" 1500
      fi
    done < <(git ls-tree -r -z --name-only "$1:$place" 2>/dev/null)
  done
  keep_matching "$1" '\.json$' 2000
  : >"$state/settings/.none.toml"
}

settings='\.(toml|json|mpool)$'
kept=0

keep_matching() { # COMMIT PATTERN MOST
  local about path
  while IFS=$'\t' read -r -d '' about path; do
    if [[ ${path,,} =~ $2 && $about = 100* ]]; then keep_setting "$1:$path" "$path" "$3"; fi
  done <"$state/tree"
}

keep_setting() { # BLOB PATH MOST, of all that are kept
  local size
  ((kept < $3)) || return 0
  [[ ! /$2/ = */../* && $2 != .none.toml* ]] || return 0
  [[ ! -e $state/settings/$2 ]] || return 0
  size=$(git cat-file -s "$1" 2>/dev/null) || return 0
  ((size <= 8388608 && ++kept)) || return 0
  [[ $2 != */* ]] || mkdir -p "$state/settings/${2%/*}"
  git cat-file blob "$1" >"$state/settings/$2" 2>/dev/null || rm -f -- "$state/settings/$2"
}

ask_the_api() { # leave the next step what git says of the checkout
  mkdir "$state/listed"
  if git rev-parse --verify --quiet HEAD >"$state/listed/commit" 2>/dev/null; then
    read_tree HEAD
    mv "$state/tree" "$state/listed/head"
    mv "$state/links" "$state/listed/links"
    {
      git diff --no-ext-diff --no-textconv --ignore-submodules=dirty --no-renames --name-only -z HEAD --
      git ls-files -z --others -- ':(icase)*.onnx'
    } >"$state/listed/touched"
    git diff --no-ext-diff --no-textconv --ignore-submodules=dirty --no-renames --diff-filter=D --name-only -z HEAD -- \
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
      git diff --no-ext-diff --no-textconv --ignore-submodules=dirty --name-status -z -M "$commit" --
      # What git does not track was made by this workflow, and so is new.
      git ls-files -z --others -- ':(icase)*.onnx' | while IFS= read -r -d '' path; do
        printf 'A\0%s\0' "$path"
      done
    } >"$state/changes.part"
    mv "$state/changes.part" "$state/changes"
    read_tree "$commit"
    keep_base "$commit"
    keep_settings "$commit"
    echo "compared with $commit"
  else
    ask_the_api
  fi
fi
