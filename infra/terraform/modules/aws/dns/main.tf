# The origin's name: the first region's load balancer while its targets are well, else the second's. What CloudFront asks goes there,
# every method of it: its own groups of origins fail over for GET alone.

resource "aws_route53_record" "origin" {
  #checkov:skip=CKV2_AWS_23:it is the alias of a load balancer that another module or Kubernetes makes
  for_each       = { for role, target in var.origins : role => target if target != null }
  zone_id        = var.zone_id
  name           = "origin.${var.domain}"
  type           = "A"
  set_identifier = each.key

  failover_routing_policy {
    type = each.key == "first" ? "PRIMARY" : "SECONDARY"
  }

  alias {
    name                   = each.value.dns_name
    zone_id                = each.value.zone_id
    evaluate_target_health = true
  }
}

resource "aws_route53_record" "public" {
  for_each = toset(["A", "AAAA"])
  zone_id  = var.zone_id
  name     = var.domain
  type     = each.key

  alias {
    name                   = var.distribution.dns_name
    zone_id                = var.distribution.zone_id
    evaluate_target_health = false
  }
}

# only Amazon may issue for the name
resource "aws_route53_record" "authority" {
  zone_id = var.zone_id
  name    = var.domain
  type    = "CAA"
  ttl     = 3600
  records = ["0 issue \"amazon.com\"", "0 issue \"letsencrypt.org\""]
}
