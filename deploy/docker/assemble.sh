#!/bin/sh
# Lays out the files of the image as content.txt lists them: assemble.sh PROGRAM FOLDER
set -eu
program=$1
image=$2
here=$(dirname "$0")

# Only root can give files to others; without it they belong to whoever runs this.
own() {
    if [ "$(id -u)" = 0 ]; then chown "$1" "$2"; fi
}

while read -r kind first second third fourth; do
    case $kind in
    dir)
        mkdir -p "$image/$third"
        own "$second" "$image/$third"
        chmod "$first" "$image/$third"
        ;;
    file)
        case $fourth in
        program) source=$program ;;
        /*) source=$fourth ;;
        *) source=$here/../../$fourth ;;
        esac
        cp -L "$source" "$image/$third"
        own "$second" "$image/$third"
        chmod "$first" "$image/$third"
        ;;
    link)
        ln -s "$second" "$image/$first"
        ;;
    '#'* | '' | user | entrypoint | workdir) ;;
    *)
        echo "content.txt: \`$kind\` is nothing known" >&2
        exit 1
        ;;
    esac
done <"$here/content.txt"
