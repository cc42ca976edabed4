"""The issuer's desk: carries out what admins order, in the core process, one durable change each.

| module | for |
|---|---|
| desk | what every handler works with, the audit event of an order, refusals |
| handlers | from AdminCommand to AdminAnswer: table, roles, handler |
| companies | companies, employees |
| shops | shops, terminals and their activation codes |
| cards | card states, issue of groups of cards |
| making | numbers, stripes, verification values and PINs of new cards |
| personalisation | the file for whoever makes the cards, on the backend's host alone |
| money | prepaid accounts and refills of purses |
| policies | dated policies |
| records | transactions, explanations, balances, settlement |
| operation | days, health, admins |
| identities | the ports of trus.pki on the registry |
| approvals | dual control: orders that wait until other admins have agreed |
| enrolments | devices' requests for certificates: issued, refused and why |
| ceremonies | transcripts of key ceremonies, put on record |

Knows no wire. Names and texts come from a table that the console shares (trus.admin.commands).
"""
