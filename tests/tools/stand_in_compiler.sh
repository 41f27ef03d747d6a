#!/bin/sh
# As CXX: builds a program that is built already, so that the steps around the compiler are proven without
# its minutes. Files of src/ become empty objects, all but one, which shows that the flags can be compiled
# with; what is linked is $POSTERN. Everything else, as what meson finds out, is g++'s.
#   STAND_IN_LOG   the command lines of src/ are written there
set -eu
output='' source='' depends='' before=''
for word; do
  case $before in
    -o) output=$word ;;
    -MF) depends=$word ;;
  esac
  case $word in
    *src/*.cpp) source=$word ;;
  esac
  before=$word
done
case $source:$output in
  :src/postern) echo "$*" >>"$STAND_IN_LOG" && exec cp "$POSTERN" "$output" ;;
  :*) exec g++ "$@" ;;
esac
echo "$*" >>"$STAND_IN_LOG"
case $source in
  *src/base/address.cpp) exec g++ "$@" ;;
esac
echo "$output: $source" >"$depends"
if [ ! -e "$STAND_IN_LOG.o" ]; then
  g++ -x c++ -c -o "$STAND_IN_LOG.$$.o" /dev/null
  mv "$STAND_IN_LOG.$$.o" "$STAND_IN_LOG.o"
fi
exec cp "$STAND_IN_LOG.o" "$output"
