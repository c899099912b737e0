# A detection that helps itself to memory: r1 is where the record begins.
mov r0, 0
mov r3, 21
mul r3, 4096
add r1, r3
ldxdw r4, [r1+0]
jeq r4, 0, done
mov r0, 1
done: exit
