"""Jobs: many questions, or one, answered later, written ahead in the store so that they outlive the kernel.

A map: `spec` says what makes it the same one and makes its requests, `keeping`, `items` and `kept` are what the store
has of it. One thread drives all maps of a kernel (`runner`), a turn at a time (`work`, on what `holding` has): it hears
what came (`inbox`, judged by `verdict`), enters it, and sends the next items by one of two lanes (`supply`): ordinary
requests (`lanes`, `chunk`) or the service's queue (`remote`, `notified`). `purse` keeps the budget, `meter` the pace.
Rows come from `rows` and `question`, and go back as a `frame`; `job` is what the user holds, `standing` what is shown.
"""
