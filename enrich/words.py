"""Words a sentence may begin with, capitalised, without being a name.

English capitalises the first word, so a checker that must refuse unknown names has to know which words are not names.
What is missing here costs a sentence, what is here by mistake lets a name through: common words only.
"""

from __future__ import annotations

COMMON_OPENERS: frozenset[str] = frozenset(
    """
    a about above according across active add additional address adjacent after again agenda agree agreed ahead all almost along already
    also although always among an and another any anyone anything approve as ask asked asking at attendees avoid back based be because been
    before begin behind being below best better between beyond both bring budget build business but buyer buying by call called calls can carry
    change changed check clarify clear clearly close closed come commitment commitments committed common companies company compare concern
    concerned concerns confirm confirmed connect consider contact contacts continue core cost could cover current currently customer
    customers cut date deal decide decision decisions deliver deliveries delivery demo department depending describe despite did discuss
    discussed do does done down draft during each earlier early either email emails employees end engage enough evaluate even ever every
    everyone everything evidence exact expect expected explain explore fact facts few field finance find first fit focus follow for forecast
    forecasting former found from frozen full fully further future get gets getting give given go goal goals going good great group had happened has have he
    headcount held help her here hers high his hold how however identify if immediately important in industry information inside instead
    integration interest interested internal into invite is issue it its itself job join just keep key know known large last lastly late later
    lead leadership leading learn least leave left legal less let likely list little location logistics long look low main make makes making manager
    managers many market matters may maybe meanwhile meet meeting mention mentioned met might money month months more most move much must
    name need needed needs negative neither never new next no nobody none nor not note notes nothing now numbers objection objections of
    offer offered often old on once one only onto open opening operations or order other others our ours out outside over overall own owner owners
    paid pain partly people per perhaps person persona pick pilot plan planned planning please positive possible potential prepare present
    previous price pricing prior probably problem problems procurement product project promised promises proof propose proposed prospect prove provide purchase put question questions
    quickly quote raise rather reach read ready really reason recall recap recent recently refer referred region regarding remember remind
    remove renewal reply report reporting request requested respond response responsible results retail review revisit right risk role run runs
    said sales same save saw say says schedule scope second security see seems sell send senior seniority sent served set several share she should
    show shows sign signed similar simple since site sites size skip so some somebody someone something soon speak specific spoke stage stakeholders
    start started state status stay step steps still stock stop strong such suggest supply support sure system take talk target team teams tell test than
    thank that the their theirs them then there therefore these they thing things think this those though through thus time timeline timing title to today
    together told tomorrow too tool tools top toward towards transport trial try two under understand unknown unless until up update upon urgent
    us use used user users uses using value verify very visibility waiting walk want wanted wants warehouse was we week weeks welcome well went were what
    whatever when where whether which while who whoever whole whom whose why will win with within without work worked working worth would written wrong
    year years yes yesterday yet you your yours
    acknowledge agreeing aim align anchor anticipate apologise apologize arrange attach automation available aware bridge calculate chase clean collect commit
    compliance confirming contract course cover deadline defer define demonstrate details determine dig direct disqualify earn emphasise emphasize employee
    ensure establish estimate escalate existing fewer fill finish fix flag freeze funding handle highlight history hypothesis implementation include
    inventory involve issues know-how launch line locate manual map measure mind mutual name narrow negotiate obtain opportunity owed own pause phase point position
    postpone pressure prioritise prioritize probe profile promise push quantify raising reassure reconfirm reconnect reduce reference reiterate relate renew
    repeat replace reporting request requirement requirements resolve respect return revenue rollout savings seek separate settle single solution source sources spend split
    stress summarise summarize surface switch tailor thereby tie total touch track trade translate uncover unblock underline unlike urgency validate weigh win-back withdraw
    running penalties connecting costs lacking working reports systems rules inside proof supporter support complaint comparison
    champion competitor seats account accounts function influencer gatekeeper decision-maker individual director executive churned churn reopened frozen-budget
    """.split()  # noqa: E501, SIM905
)

# Short forms everybody in the trade writes; they say nothing about a particular customer.
KNOWN_ACRONYMS: frozenset[str] = frozenset("icp crm ok ps faq utc i b2b".split())  # noqa: SIM905
