"""The admin's console: one table of commands, a line protocol over two-way TLS, and its client.

| module | for |
|---|---|
| arguments | types of arguments: text in, canonical text out, or a fixed sentence |
| commands | the one declarative table: arguments, roles, whether it changes anything, help |
| lines | what an admin types to a command, what the core answers to lines |
| console | the session without input or output: bytes in, requests out, answers in, bytes out |
| server | the Twisted protocol of the session over TLS |
| client | the asynchronous client, pipelined |
| describe | writes the generated parts of docs/reference/console.md |

Knows nothing of SQL, keys or money: the core carries commands out (trus.issuing).
"""
