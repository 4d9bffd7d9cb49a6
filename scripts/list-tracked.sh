#!/usr/bin/env bash
# Write down, where there is git, what it tracks in the workspace and in the repositories below it, and
# where its own folders are. For a container that sees none of these: they hold credentials.
#
# Argument: a folder. Gets, by paths from the workspace:
#   index     as `git ls-files --stage -z` prints it: mode, blob and path of every file
#   pointers  as `git cat-file --batch` prints it: the small blobs of files under Git LFS, which say
#             what each stands for
#   modified  the paths of files that may differ from the index, NUL after each
#   masked    git's own folders and files, absolute, NUL after each
# Without a repository there is only an empty `masked`.
#
# Reads: GITHUB_WORKSPACE
set -euo pipefail

state=$1
cd "${GITHUB_WORKSPACE:?}"
workspace=$(pwd -P)
export GIT_OPTIONAL_LOCKS=0 GIT_TERMINAL_PROMPT=0 GIT_NO_LAZY_FETCH=1 LC_ALL=C

# The checkout may be a stranger's: nothing that its configuration names is started.
git() {
  command git --no-pager -c core.fsmonitor=false -c core.hooksPath=/dev/null \
    -c core.quotePath=false -c safe.directory='*' "$@"
}

unfiltered() { # FOLDER ARGUMENT...: run git there, every content filter of the repository overruled
  local folder=$1 name count=0
  shift
  (
    while IFS= read -r -d '' name; do
      export "GIT_CONFIG_KEY_$count=$name"
      case $name in
        *.required) export "GIT_CONFIG_VALUE_$count=false" ;;
        *) export "GIT_CONFIG_VALUE_$count=" ;;
      esac
      count=$((count + 1))
    done < <(git -C "$folder" config -z --name-only --get-regexp '^filter\..*\.(clean|smudge|process|required)$')
    export GIT_CONFIG_COUNT=$count
    git -C "$folder" "$@"
  )
}

below() { # PREFIX: put it before each path
  local path
  if [[ -z $1 ]]; then cat; else while IFS= read -r -d '' path; do printf '%s%s\0' "$1" "$path"; done; fi
}

rows() { # PREFIX: put it before the path of each row of the index
  local row
  if [[ -z $1 ]]; then cat; else
    while IFS= read -r -d '' row; do printf '%s\t%s%s\0' "${row%%$'\t'*}" "$1" "${row#*$'\t'}"; done
  fi
}

pointers() { # FOLDER: print the blobs of files under Git LFS that are small enough to be pointers
  local object
  git -C "$1" ls-files --stage -z -- ':(attr:filter=lfs)' |
    while IFS=' ' read -r -d '' _ object _; do echo "$object"; done | sort -u |
    git -C "$1" cat-file --batch-check='%(objectname) %(objecttype) %(objectsize)' |
    awk '$2 == "blob" && $3 <= 1024 { print $1 }' |
    git -C "$1" cat-file --batch
}

list_tree() { # FOLDER: the top of a work tree
  local prefix=${1#"$workspace"}
  prefix=${prefix#/}
  [[ -z $prefix ]] || prefix+=/
  git -C "$1" ls-files --stage -z | rows "$prefix" >>"$state/index"
  pointers "$1" >>"$state/pointers"
  unfiltered "$1" diff-files --no-ext-diff --no-textconv --no-renames --ignore-submodules=all \
    --name-only -z | below "$prefix" >>"$state/modified"
}

mask() { # PATH: git's own, where it is in the workspace and no folder around it is masked yet
  local place seen
  place=$(realpath -- "$1") || return 0
  [[ $place = "$workspace"/* ]] || return 0
  for seen in ${masked[@]+"${masked[@]}"}; do
    [[ $place != "$seen" && $place != "$seen"/* ]] || return 0
  done
  masked+=("$place")
  # As the container has it, where the way to the workspace may be a link.
  printf '%s/%s\0' "${GITHUB_WORKSPACE%/}" "${place#"$workspace"/}" >>"$state/masked"
}

masked=()
: >"$state/masked"
while IFS= read -r -d '' own; do
  mask "$own"
  folder=$(dirname -- "$own")
  folder=$(cd -- "$folder" && pwd -P)
  top=$(git -C "$folder" rev-parse --show-toplevel 2>/dev/null) && [[ $top -ef $folder ]] || continue
  # A repository's own folder may have another name, and lie in the workspace all the same.
  mask "$(git -C "$folder" rev-parse --absolute-git-dir)"
  mask "$(cd -- "$folder" && cd -- "$(git rev-parse --git-common-dir)" && pwd -P)"
  list_tree "$folder"
done < <(find "$workspace" -iname .git -prune -print0 2>/dev/null | sort -z)
